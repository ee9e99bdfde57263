//! The output of a job as a dataset: the files of its manifest, and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::listing::directly_in;
use super::tree::Tree;
use super::{Found, Origin};
use crate::data_file::name_of;
use crate::error::{DatasetError, Result};
use crate::output::{COMMIT_FOLDER, DATA_FOLDER, JOB_FILE, MANIFEST_FILE, Manifest};

/// True for the folder of an output, finished or not.
pub(super) fn is_output(tree: &Tree, folder: &Path) -> Result<bool> {
    Ok(tree.has(&folder.join(MANIFEST_FILE))? || tree.has(&folder.join(JOB_FILE))?)
}

/// The files of an output, or of its `data` folder; `None` if the folder is neither.
///
/// # Errors
/// [`DatasetError::Unfinished`], [`DatasetError::Mixed`], [`DatasetError::Empty`] if every row failed.
pub(super) fn files(tree: &Tree, folder: &Path) -> Result<Option<Vec<Found>>> {
    if tree.has(&folder.join(MANIFEST_FILE))? {
        return shards_of(folder, &folder.join(DATA_FOLDER)).map(Some);
    }
    if tree.has(&folder.join(JOB_FILE))? {
        return Err(DatasetError::Unfinished { path: folder.to_path_buf() });
    }
    let output = output_of(tree, folder)?;
    output.map(|output| data_of(tree, &output, folder)).transpose()
}

/// Refuses the `data` folder of an unfinished job.
///
/// # Errors
/// [`DatasetError::Unfinished`].
pub(super) fn refuse_unfinished_data(tree: &Tree, data: &Path) -> Result<()> {
    match output_of(tree, data)? {
        Some(output) if !tree.has(&output.join(MANIFEST_FILE))? => Err(DatasetError::Unfinished { path: output }),
        _ => Ok(()),
    }
}

/// The output folder with this `data` folder.
fn output_of(tree: &Tree, data: &Path) -> Result<Option<PathBuf>> {
    // A link, or `..`, may hide the name.
    let real = tree.real(data)?;
    let Some(output) = real.parent().filter(|_| real.ends_with(DATA_FOLDER)) else { return Ok(None) };
    // Other programs have files of these names too; a commits folder or a manifest in our format identifies ours.
    let begun = tree.has(&output.join(JOB_FILE))? && tree.has(&output.join(COMMIT_FOLDER))?;
    let ours = begun || Manifest::read(output).is_ok();
    Ok(ours.then(|| output.to_path_buf()))
}

/// The `data` folder of an output, named directly: it may hold nothing but the job's files.
fn data_of(tree: &Tree, output: &Path, data: &Path) -> Result<Vec<Found>> {
    refuse_unfinished_data(tree, data)?;
    let shards = shards_of(output, data)?;
    let foreign = |path: &PathBuf| shards.iter().all(|shard| shard.path.file_name() != path.file_name());
    match directly_in(tree, data)?.into_iter().find(foreign) {
        Some(path) => {
            let reason = format!("{} is not one of the job's files", name_of(&path));
            Err(DatasetError::Mixed { path: data.to_path_buf(), reason })
        }
        None => Ok(shards),
    }
}

fn shards_of(output: &Path, data: &Path) -> Result<Vec<Found>> {
    let manifest = Manifest::read(output)?;
    manifest.agrees_with_job(output)?;
    let manifest = Arc::new(manifest);
    let files: Vec<Found> = manifest
        .shards
        .iter()
        .filter_map(|shard| Some((shard, Path::new(shard.file.as_ref()?).file_name()?)))
        .map(|(shard, name)| Found {
            path: data.join(name),
            folders: Vec::new(),
            origin: Origin::Listed { shard: shard.clone(), manifest: manifest.clone() },
            object: None,
        })
        .collect();
    if files.is_empty() {
        let reason = "the job that wrote it kept no row (see failures.parquet)".into();
        return Err(DatasetError::Empty { path: output.to_path_buf(), reason });
    }
    Ok(files)
}
