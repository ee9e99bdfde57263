//! Splits: train, validation and test rows in one folder or pattern. They are never mixed unless the user says so.

use std::path::Path;

use indexmap::IndexMap;

use super::selection::Selection;
use super::shown;
use crate::data_file::name_of;
use crate::error::{DatasetError, Result};

/// Words in names of files and folders, and the split that they name.
const WORDS: [(&str, &str); 10] = [
    ("train", "train"),
    ("training", "train"),
    ("validation", "validation"),
    ("valid", "validation"),
    ("val", "validation"),
    ("dev", "validation"),
    ("test", "test"),
    ("testing", "test"),
    ("eval", "test"),
    ("evaluation", "test"),
];

/// The split of a file, from its path below the folder: `test-00000-of-00001.parquet`, `train.parquet`, `dev/a.parquet`.
pub(crate) fn split_of(file: &Path) -> Option<String> {
    let stem = file.file_stem()?.to_str()?;
    // Older files have a hash behind the count.
    let numbered = stem.rsplit_once("-of-").filter(|(_, count)| is_number(count.split('-').next().unwrap_or(count)));
    if let Some((name, _)) = numbered.and_then(|(front, _)| front.rsplit_once('-')).filter(|(_, n)| is_number(n)) {
        return Some(word_in(name).unwrap_or(name).to_string());
    }
    let folders = file.ancestors().skip(1).filter_map(|folder| folder.file_name()?.to_str());
    std::iter::once(stem).chain(folders).find_map(word_in).map(str::to_string)
}

fn is_number(text: &str) -> bool {
    text.len() >= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The split that a word means.
pub(crate) fn split_named(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, split)| *split)
}

/// The split that a word of a name means: `val` in `my_val-2`.
fn word_in(name: &str) -> Option<&'static str> {
    let words =
        name.split(|c: char| !c.is_alphanumeric()).map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()));
    words.filter_map(split_named).next()
}

/// The files that the user means. `split_of` has the split of a file.
///
/// # Errors
/// [`DatasetError::Splits`] if there are several and none was named, or there is none of this name.
pub(super) fn chosen<F: AsRef<Path>>(
    folder: &Path,
    files: Vec<F>,
    selection: &Selection,
    split_of: impl Fn(&F) -> Option<String>,
) -> Result<Vec<F>> {
    let mut splits: IndexMap<Option<String>, Vec<F>> = IndexMap::new();
    for file in files {
        splits.entry(split_of(&file)).or_default().push(file);
    }
    let wanted = match selection {
        Selection::All => return Ok(splits.into_values().flatten().collect()),
        Selection::Default if splits.len() == 1 => return Ok(splits.into_values().flatten().collect()),
        Selection::Default => None,
        Selection::Named(name) => Some(name),
    };
    let same = |split: &Option<String>, name: &str| split.as_deref().is_some_and(|split| split == name);
    if let Some(name) = wanted {
        let place = splits.keys().position(|split| same(split, name));
        let place = place.or_else(|| {
            let usual = word_in(name)?;
            splits.keys().position(|split| same(split, usual))
        });
        if let Some((_, files)) = place.and_then(|place| splits.swap_remove_index(place)) {
            return Ok(files);
        }
    }
    Err(refusal(folder, &splits, wanted))
}

fn refusal<F: AsRef<Path>>(
    folder: &Path,
    splits: &IndexMap<Option<String>, Vec<F>>,
    wanted: Option<&String>,
) -> DatasetError {
    let names: Vec<&str> = splits.keys().filter_map(Option::as_deref).collect();
    let held = if names.is_empty() { "no splits".into() } else { format!("the splits {}", names.join(", ")) };
    let other = splits.get(&None).and_then(|files| files.first());
    let other = other.map(|file| format!(", and files of no split, such as {}", name_of(file.as_ref())));
    let held = format!("it holds {held}{}", other.unwrap_or_default());
    let reason = match wanted {
        Some(name) => format!("there is no split `{name}`; {held}"),
        None => format!("{held}, which are not read together unless you say so"),
    };
    let choices = names.into_iter().chain(["all"]).map(|name| shown(folder, name)).collect();
    DatasetError::Splits { path: folder.to_path_buf(), reason, choices }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_and_folders_tell_the_split() {
        for (file, split) in [
            ("train-00000-of-00001.parquet", Some("train")),
            ("val-00000-of-00001.parquet", Some("validation")),
            ("extra-00000-of-00001-a09b74b3ef9c3b56.parquet", Some("extra")),
            ("unsupervised-00003-of-00012.parquet", Some("unsupervised")),
            ("part-00000-of-00002.parquet", Some("part")),
            ("test.parquet", Some("test")),
            ("Test.PARQUET", Some("test")),
            ("my_dev-2.parquet", Some("validation")),
            ("train1.parquet", Some("train")),
            ("train/a.parquet", Some("train")),
            ("en/test/lang=de/0.parquet", Some("test")),
            ("contest.parquet", None),
            ("part-0.parquet", None),
            ("part-00000-5f1d-c000.snappy.parquet", None),
            ("shard-00000.parquet", None),
            ("2020-of-2021.parquet", None),
        ] {
            assert_eq!(split_of(Path::new(file)).as_deref(), split, "{file}");
        }
    }
}
