//! The output of a job as a dataset: the files of its manifest, and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::listing::directly_in;
use super::{Found, Origin, there};
use crate::data_file::name_of;
use crate::error::{DatasetError, Result, io_error};
use crate::output::{COMMIT_FOLDER, DATA_FOLDER, JOB_FILE, MANIFEST_FILE, Manifest};

/// True for the folder of an output, finished or not.
pub(super) fn is_output(folder: &Path) -> Result<bool> {
    Ok(there(&folder.join(MANIFEST_FILE))? || there(&folder.join(JOB_FILE))?)
}

/// The files of an output, or of its `data` folder; `None` if the folder is neither.
///
/// # Errors
/// [`DatasetError::Unfinished`], [`DatasetError::Mixed`], [`DatasetError::Empty`] if every row failed.
pub(super) fn files(folder: &Path) -> Result<Option<Vec<Found>>> {
    if there(&folder.join(MANIFEST_FILE))? {
        return shards_of(folder, &folder.join(DATA_FOLDER)).map(Some);
    }
    if there(&folder.join(JOB_FILE))? {
        return Err(DatasetError::Unfinished { path: folder.to_path_buf() });
    }
    let output = output_of(folder)?;
    output.map(|output| data_of(&output, folder)).transpose()
}

/// The output folder with this `data` folder.
fn output_of(data: &Path) -> Result<Option<PathBuf>> {
    // A link, or `..`, may hide the name.
    let real = data.canonicalize().map_err(io_error(data, "open"))?;
    let Some(output) = real.parent().filter(|_| real.ends_with(DATA_FOLDER)) else { return Ok(None) };
    // Other programs have files of these names too; a commits folder or a manifest in our format identifies ours.
    let begun = there(&output.join(JOB_FILE))? && there(&output.join(COMMIT_FOLDER))?;
    let ours = begun || Manifest::read(output).is_ok();
    Ok(ours.then(|| output.to_path_buf()))
}

/// The `data` folder of an output, named directly: it may hold nothing but the job's files.
fn data_of(output: &Path, data: &Path) -> Result<Vec<Found>> {
    if !there(&output.join(MANIFEST_FILE))? {
        return Err(DatasetError::Unfinished { path: output.to_path_buf() });
    }
    let shards = shards_of(output, data)?;
    let foreign = |path: &PathBuf| shards.iter().all(|shard| shard.path.file_name() != path.file_name());
    match directly_in(data)?.into_iter().find(foreign) {
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
        })
        .collect();
    if files.is_empty() {
        let reason = "the job that wrote it kept no row (see failures.parquet)".into();
        return Err(DatasetError::Empty { path: output.to_path_buf(), reason });
    }
    Ok(files)
}
