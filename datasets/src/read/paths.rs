//! Resolves the user's paths to a list of files, and checks that each is the expected one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Part;
use super::marks;
use crate::error::{DatasetError, Result, io_error};
use crate::output::{COMMIT_FOLDER, DATA_FOLDER, JOB_FILE, MANIFEST_FILE, Manifest, Shard};

/// A file to read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    origin: Origin,
}

/// The source of a file's name.
#[derive(Debug)]
enum Origin {
    /// The user, who may name any file.
    Named,
    /// A manifest, which describes the file.
    Listed { shard: Shard, manifest: Arc<Manifest> },
    /// A folder without a manifest.
    Folder(PathBuf),
}

/// The data files of files and folders, in reading order.
pub(super) fn files_from_paths(paths: &[PathBuf]) -> Result<Vec<Found>> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(io_error(path, "open"))?;
        if metadata.is_dir() {
            files.extend(files_in_folder(path)?);
        } else {
            files.push(Found { path: path.clone(), origin: Origin::Named });
        }
    }
    if files.is_empty() {
        return Err(DatasetError::Empty { path: PathBuf::from("input"), reason: "no file was named".into() });
    }
    Ok(files)
}

/// Refuses files that differ from their manifest, and folders that hold a part of a job or parts of several jobs.
pub(super) fn check(files: &[Found], parts: &[Part]) -> Result<()> {
    for (file, part) in files.iter().zip(parts) {
        if let Origin::Listed { shard, manifest } = &file.origin
            && let Some(reason) = shard.disagreement(&manifest.fingerprint, part)
        {
            return Err(DatasetError::NotAsListed { path: file.path.clone(), reason });
        }
    }
    let folder = |file: &Found| match &file.origin {
        Origin::Folder(folder) => Some(folder.clone()),
        _ => None,
    };
    let both: Vec<(Option<PathBuf>, &Part)> = files.iter().map(folder).zip(parts).collect();
    for group in both.chunk_by(|(a, _), (b, _)| a == b) {
        if let (Some(folder), _) = &group[0] {
            marks::check(folder, &group.iter().map(|(_, part)| *part).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// The folder of all files, if it is the same.
pub(super) fn common_folder(files: &[Found]) -> Option<PathBuf> {
    let folder = |file: &Found| match file.path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let first = folder(files.first()?);
    files.iter().all(|file| folder(file) == first).then_some(first)
}

fn files_in_folder(folder: &Path) -> Result<Vec<Found>> {
    if there(&folder.join(MANIFEST_FILE))? {
        return shards_of(folder, &folder.join(DATA_FOLDER));
    }
    if there(&folder.join(JOB_FILE))? {
        return Err(DatasetError::Unfinished { path: folder.to_path_buf() });
    }
    if let Some(output) = output_of(folder)? {
        return data_of(&output, folder);
    }
    let files = parquet_files(folder)?;
    if files.is_empty() {
        let path = folder.to_path_buf();
        return Err(DatasetError::Empty { path, reason: "there is no *.parquet file directly in this folder".into() });
    }
    let found = |path| Found { path, origin: Origin::Folder(folder.to_path_buf()) };
    Ok(files.into_iter().map(found).collect())
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
    match parquet_files(data)?.into_iter().find(foreign) {
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
            origin: Origin::Listed { shard: shard.clone(), manifest: manifest.clone() },
        })
        .collect();
    if files.is_empty() {
        let reason = "the job that wrote it kept no row (see failures.parquet)".into();
        return Err(DatasetError::Empty { path: output.to_path_buf(), reason });
    }
    Ok(files)
}

fn there(path: &Path) -> Result<bool> {
    path.try_exists().map_err(io_error(path, "open"))
}

/// The last part of a path, for messages.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The `*.parquet` files of a folder. By convention, names that start with `.` or `_` are unfinished or private.
fn parquet_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error(folder, "list"))? {
        let path = entry.map_err(io_error(folder, "list"))?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
        if !hidden && path.is_file() && path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
