//! From what the user names to a list of files.

use std::path::{Path, PathBuf};

use crate::error::{DatasetError, Result, io_error};
use crate::output::{JOB_FILE, MANIFEST_FILE, Manifest};

/// Data files behind files and folders, in reading order.
pub(super) fn files_from_paths(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = std::fs::metadata(path).map_err(io_error(path, "open"))?;
        if metadata.is_dir() { files.extend(files_in_folder(path)?) } else { files.push(path.clone()) }
    }
    if files.is_empty() {
        return Err(DatasetError::Empty { path: PathBuf::from("input"), reason: "no file was named".into() });
    }
    Ok(files)
}

/// The folder all files lie in, if it is one.
pub(super) fn common_folder(files: &[PathBuf]) -> Option<PathBuf> {
    let folder = |file: &PathBuf| match file.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let first = folder(files.first()?);
    files.iter().all(|file| folder(file) == first).then_some(first)
}

fn files_in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.join(MANIFEST_FILE).exists() {
        return shards_of(folder);
    }
    if folder.join(JOB_FILE).exists() {
        return Err(DatasetError::Unfinished { path: folder.to_path_buf() });
    }
    let files = parquet_files(folder)?;
    if files.is_empty() {
        let path = folder.to_path_buf();
        return Err(DatasetError::Empty { path, reason: "no *.parquet file lies directly in this folder".into() });
    }
    Ok(files)
}

fn shards_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let manifest = Manifest::read(folder)?;
    let files: Vec<PathBuf> =
        manifest.shards.iter().filter_map(|shard| shard.file.as_ref()).map(|file| folder.join(file)).collect();
    if files.is_empty() {
        let reason = "the job that wrote it kept no row (see failures.parquet)".into();
        return Err(DatasetError::Empty { path: folder.to_path_buf(), reason });
    }
    Ok(files)
}

/// Names starting with `.` or `_` are other writers' unfinished or private files, by common custom.
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
