//! Dataset cards: the `configs` in the front matter of a folder's `README.md`, as the Hugging Face hub has them.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::selection::Selection;
use super::{Found, below, shown, splits};
use crate::error::{DatasetError, Result, io_error};
use crate::natural::by_number;

const FILE: &str = "README.md";
/// The longest card whose front matter is read.
const MAX_BYTES: u64 = 1 << 20;
/// The name of a configuration, and the split of files, that have none.
const DEFAULT: &str = "default";
const TRAIN: &str = "train";

/// The part of a card that is read.
#[derive(Debug, Default, Deserialize)]
struct Card {
    #[serde(default)]
    configs: Vec<Config>,
}

/// A configuration: a subset of a dataset with its own splits.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    #[serde(default = "default_name")]
    config_name: String,
    #[serde(default)]
    default: bool,
    data_files: Option<DataFiles>,
    data_dir: Option<String>,
}

/// Patterns of files, with or without their split.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum DataFiles {
    Pattern(String),
    List(Vec<Entry>),
    BySplit(indexmap::IndexMap<String, Patterns>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Pattern(String),
    Split { split: String, path: Patterns },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Patterns {
    One(String),
    Many(Vec<String>),
}

/// A file with its split.
#[derive(PartialEq, Eq)]
struct SplitFile {
    path: PathBuf,
    split: Option<String>,
}

impl AsRef<Path> for SplitFile {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

fn default_name() -> String {
    DEFAULT.into()
}

/// The configurations of a folder's card; `None` if it has no card, or one without configurations.
///
/// # Errors
/// The card has configurations that cannot be read.
pub(super) fn read(folder: &Path) -> Result<Option<Vec<Config>>> {
    let path = folder.join(FILE);
    if !std::fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MAX_BYTES) {
        return Ok(None);
    }
    let bytes = std::fs::read(&path).map_err(io_error(&path, "read"))?;
    let text = String::from_utf8_lossy(&bytes);
    let Some(front) = front_matter(&text).filter(|front| front.lines().any(|line| line.starts_with("configs:"))) else {
        return Ok(None);
    };
    let card: Card = serde_saphyr::from_str(front).map_err(|error| DatasetError::Record {
        path,
        reason: format!("its `configs` are not those of a dataset card ({error})"),
    })?;
    Ok(Some(card.configs).filter(|configs| !configs.is_empty()))
}

/// The YAML between the first two lines of `---`.
fn front_matter(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('\u{feff}');
    let rest = text.strip_prefix("---\n").or_else(|| text.strip_prefix("---\r\n"))?;
    let end = rest.find("\n---")?;
    Some(&rest[..end + 1])
}

/// The files that the user means.
///
/// # Errors
/// [`DatasetError::Splits`] if there are several configurations or splits and none was named, or there is none of this
/// name; [`DatasetError::Empty`] if the card names no Parquet file.
pub(super) fn files(folder: &Path, configs: Vec<Config>, selection: &Selection) -> Result<Vec<Found>> {
    let (config, selection) = config_and_split(folder, &configs, selection)?;
    let files = config.files(folder)?;
    let several = configs.len() > 1;
    let chosen = splits::chosen(folder, files, &selection, |file| file.split.clone()).map_err(|error| match error {
        DatasetError::Splits { path, reason, choices } if several => {
            let with_config = |choice: String| choice.replacen('#', &format!("#{}/", config.config_name), 1);
            DatasetError::Splits { path, reason, choices: choices.into_iter().map(with_config).collect() }
        }
        other => other,
    })?;
    Ok(chosen.into_iter().map(|file| Found::named(file.path)).collect())
}

/// The configuration that the user means, and the split of it.
fn config_and_split<'c>(
    folder: &Path,
    configs: &'c [Config],
    selection: &Selection,
) -> Result<(&'c Config, Selection)> {
    let named = |name: &str| configs.iter().find(|config| config.config_name == name);
    if let Selection::Named(name) = selection {
        if let Some(config) = named(name) {
            return Ok((config, Selection::Default));
        }
        if let Some((name, split)) = name.split_once('/')
            && let Some(config) = named(name)
        {
            let split = if split == "all" { Selection::All } else { Selection::Named(split.into()) };
            return Ok((config, split));
        }
    }
    let marked = configs.iter().find(|config| config.default).or_else(|| named(DEFAULT));
    let only = if let [only] = configs { Some(only) } else { marked };
    if let Some(config) = only {
        return Ok((config, selection.clone()));
    }
    let names: Vec<&str> = configs.iter().map(|config| config.config_name.as_str()).collect();
    let reason = match selection {
        Selection::Named(name) => format!("there is no configuration `{name}`; its card has {}", names.join(", ")),
        _ => format!("its card has several configurations: {}", names.join(", ")),
    };
    let choices = names.into_iter().map(|name| shown(folder, name)).collect();
    Err(DatasetError::Splits { path: folder.to_path_buf(), reason, choices })
}

impl Config {
    /// The Parquet files of all splits.
    fn files(&self, folder: &Path) -> Result<Vec<SplitFile>> {
        let root = self.data_dir.as_deref().map_or(Ok(folder.to_path_buf()), |name| inside(folder, name))?;
        let split = |split: &str| Some(split.to_string());
        let mut files = Vec::new();
        match &self.data_files {
            None => {
                let by_name = |path: &PathBuf| splits::split_of(path.strip_prefix(&root).ok()?);
                files.extend(
                    below::files(&root, false)?.into_iter().map(|path| SplitFile { split: by_name(&path), path }),
                );
            }
            Some(DataFiles::Pattern(pattern)) => add(&root, pattern, split(TRAIN), &mut files)?,
            Some(DataFiles::List(entries)) => {
                for entry in entries {
                    match entry {
                        Entry::Pattern(pattern) => add(&root, pattern, split(TRAIN), &mut files)?,
                        Entry::Split { split: name, path } => add_all(&root, path, name, &mut files)?,
                    }
                }
            }
            Some(DataFiles::BySplit(by_split)) => {
                for (name, patterns) in by_split {
                    add_all(&root, patterns, name, &mut files)?;
                }
            }
        }
        if files.is_empty() {
            let reason = format!("the configuration `{}` of its card names no Parquet file", self.config_name);
            return Err(DatasetError::Empty { path: folder.to_path_buf(), reason });
        }
        Ok(files)
    }
}

fn add_all(root: &Path, patterns: &Patterns, split: &str, files: &mut Vec<SplitFile>) -> Result<()> {
    let patterns = match patterns {
        Patterns::One(pattern) => std::slice::from_ref(pattern),
        Patterns::Many(patterns) => patterns,
    };
    patterns.iter().try_for_each(|pattern| add(root, pattern, Some(split.to_string()), files))
}

/// Adds the Parquet files that a pattern matches.
fn add(root: &Path, pattern: &str, split: Option<String>, files: &mut Vec<SplitFile>) -> Result<()> {
    inside(root, pattern)?;
    let empty = |reason: String| DatasetError::Empty { path: root.to_path_buf(), reason };
    let escaped = glob::Pattern::escape(&root.display().to_string());
    let found = glob::glob(&format!("{escaped}/{pattern}"))
        .map_err(|error| empty(format!("its card has `{pattern}`, which is not a pattern of file names: {error}")))?;
    let mut matched = Vec::new();
    for path in found.filter_map(|path| path.ok()) {
        if path.is_dir() {
            matched.extend(below::files(&path, false)?);
        } else if below::is_parquet(&path) {
            matched.push(path);
        }
    }
    if matched.is_empty() {
        return Err(empty(format!("its card has `{pattern}`, which matches no Parquet file")));
    }
    matched.sort_by(|a, b| by_number(a, b));
    for path in matched {
        let file = SplitFile { path, split: split.clone() };
        // Patterns may overlap.
        if !files.contains(&file) {
            files.push(file);
        }
    }
    Ok(())
}

/// A path below the folder. A card must not lead elsewhere.
fn inside(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if Path::new(name).components().all(plain) && !name.contains("://") {
        return Ok(folder.join(name));
    }
    let reason = format!("its card has `{name}`, which is not below the folder; name the files themselves");
    Err(DatasetError::Empty { path: folder.to_path_buf(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_matter_ends_at_the_second_line_of_dashes() {
        assert_eq!(front_matter("---\na: 1\n---\ntext\n---\n"), Some("a: 1\n"));
        assert_eq!(front_matter("---\r\na: 1\r\n---\r\ntext"), Some("a: 1\r\n"));
        for text in ["", "# Title\n---\n", "---\na: 1\n", "---"] {
            assert_eq!(front_matter(text), None, "{text:?}");
        }
    }
}
