//! The files of a pattern: `data/*.parquet`, with or without what of it is meant.

use std::path::{Component, Path, PathBuf};

use super::entry::Kind;
use super::selection::Selection;
use super::tree::{Tree, matches_of};
use super::{Found, chosen, output, parted, splits};
use crate::error::{DatasetError, Result};

/// The files that a pattern matches, and those of the folders that it matches.
///
/// # Errors
/// [`DatasetError::Splits`] if they are of several splits and none was named, or there is none of this name;
/// [`DatasetError::Unfinished`] for files of a job or a split that has not ended.
pub(super) fn files(pattern: &Path, selection: &Selection) -> Result<Vec<Found>> {
    let mut matches = Vec::new();
    for path in matches_of(pattern)? {
        let tree = Tree::of(&path)?;
        let kind = tree.kind(&path)?.ok_or_else(|| DatasetError::Missing { path: path.clone() })?;
        matches.push((tree, path, kind));
    }
    refuse_unfinished(&matches)?;
    let with_folders = matches.iter().any(|(_, _, kind)| *kind == Kind::Folder);
    // A split of a pattern is looked for in each folder, else among all files.
    let of_each = if with_folders { selection } else { &Selection::All };
    let mut found = Vec::new();
    for (tree, path, kind) in &matches {
        found.extend(chosen(tree, path, *kind, of_each)?);
    }
    match selection {
        Selection::All => Ok(found),
        Selection::Named(_) if with_folders => Ok(found),
        _ => of_one_split(pattern, found, selection, with_folders),
    }
}

/// Refuses files in folders that a process has not finished: nobody who names a pattern means a part of the rows.
fn refuse_unfinished(matches: &[(Tree, PathBuf, Kind)]) -> Result<()> {
    let mut last = None;
    for (tree, path, _) in matches.iter().filter(|(_, _, kind)| *kind == Kind::File) {
        let folder = path.parent().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
        // Matches come in the order of their folders.
        if let Some(folder) = folder.filter(|folder| last.replace(*folder) != Some(*folder)) {
            output::refuse_unfinished_data(tree, folder)?;
            parted::refuse_unfinished(tree, folder)?;
        }
    }
    Ok(())
}

/// The files of the split that is meant. What the names of folders above the pattern say counts for none of them.
fn of_one_split(pattern: &Path, found: Vec<Found>, selection: &Selection, with_folders: bool) -> Result<Vec<Found>> {
    let above = fixed_folder(pattern);
    let split_of = |file: &Found| splits::split_of(file.path.strip_prefix(&above).unwrap_or(&file.path));
    splits::chosen(pattern, found, selection, split_of).map_err(|error| match error {
        DatasetError::Splits { path, reason, mut choices } if with_folders => {
            // The folders themselves have no split of this name.
            choices.drain(..choices.len().saturating_sub(1));
            DatasetError::Splits { path, reason, choices }
        }
        other => other,
    })
}

/// True if a name has characters that stand for others.
pub(super) fn is_special(name: &str) -> bool {
    name.contains(['*', '?', '[', '{'])
}

/// The folder of a pattern above the first name with a special character.
fn fixed_folder(pattern: &Path) -> PathBuf {
    // Matches of `./*` do not begin with `./`.
    let parts = pattern.components().skip_while(|part| *part == Component::CurDir);
    parts.take_while(|part| !is_special(&part.as_os_str().to_string_lossy())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_pattern_ends_before_its_first_special_character() {
        for (pattern, folder) in [
            ("*.parquet", ""),
            ("./data/*.parquet", "data"),
            ("/test/{a,b}/x", "/test"),
            ("s3://bucket/a/b-??/*", "s3:/bucket/a"),
        ] {
            assert_eq!(fixed_folder(Path::new(pattern)), Path::new(folder), "{pattern}");
        }
    }
}
