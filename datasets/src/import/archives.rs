//! A folder of tar files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{ARCHIVES, ends_in, ensure_beneath, names};
use crate::error::{DatasetError, Result, io_error};
use crate::natural::by_number;
use crate::read::split_of;

/// The tar files in a folder, in natural order; none if the folder also holds folders, or images, sounds or videos.
///
/// # Errors
/// [`DatasetError::Import`] for a link out of the folder; [`DatasetError::Splits`]: their names say that they are of several splits.
pub(super) fn within(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error(folder, "open"))? {
        let path = entry.map_err(io_error(folder, "list"))?.path();
        if path.is_dir() || names::media(&names::extension(&path)).is_some() {
            return Ok(Vec::new());
        }
        if ends_in(&path, ARCHIVES) {
            ensure_beneath(folder, Path::new(path.file_name().unwrap_or_default()))?;
            found.push(path);
        }
    }
    found.sort_by(|a, b| by_number(a, b));
    refuse_splits(folder, &found)?;
    Ok(found)
}

fn refuse_splits(folder: &Path, files: &[PathBuf]) -> Result<()> {
    let split = |file: &PathBuf| Some((split_of(Path::new(file.file_name()?))?, pattern(file)));
    let splits: BTreeMap<String, String> = files.iter().filter_map(split).collect();
    if splits.len() < 2 {
        return Ok(());
    }
    let names = splits.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let reason = format!("it holds tar files of the splits {names}, which are not imported together");
    Err(DatasetError::Splits { path: folder.to_path_buf(), reason, choices: splits.into_values().collect() })
}

/// A pattern, in quotation marks, of the files that differ from this one in their numbers.
fn pattern(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut pattern = String::new();
    for letter in name.chars().map(|letter| if letter.is_ascii_digit() { '*' } else { letter }) {
        if letter != '*' || !pattern.ends_with('*') {
            pattern.push(letter);
        }
    }
    format!("'{}'", file.with_file_name(pattern).display())
}
