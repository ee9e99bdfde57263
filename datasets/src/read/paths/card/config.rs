//! A configuration of a dataset card, and the files that it names.

use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::super::entry::Kind;
use super::super::tree::Tree;
use super::super::{below, listing, splits};
use super::DEFAULT;
use crate::error::{DatasetError, Result};
use crate::natural::by_number;

/// The split of files that have none.
const TRAIN: &str = "train";

/// A configuration: a subset of a dataset with its own splits.
#[derive(Debug, Deserialize)]
pub(in super::super) struct Config {
    #[serde(default = "default_name")]
    pub(super) config_name: String,
    #[serde(default)]
    pub(super) default: bool,
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
pub(super) struct SplitFile {
    pub(super) path: PathBuf,
    pub(super) split: Option<String>,
}

impl AsRef<Path> for SplitFile {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

fn default_name() -> String {
    DEFAULT.into()
}

impl Config {
    /// The Parquet files of all splits.
    pub(super) fn files(&self, tree: &Tree, folder: &Path) -> Result<Vec<SplitFile>> {
        let root = self.data_dir.as_deref().map_or(Ok(folder.to_path_buf()), |name| inside(folder, name))?;
        let split = |split: &str| Some(split.to_string());
        let mut files = Vec::new();
        match &self.data_files {
            None => {
                let by_name = |path: &PathBuf| splits::split_of(path.strip_prefix(&root).ok()?);
                files.extend(
                    below::files(tree, &root, false)?.into_iter().map(|path| SplitFile { split: by_name(&path), path }),
                );
            }
            Some(DataFiles::Pattern(pattern)) => add(tree, &root, pattern, split(TRAIN), &mut files)?,
            Some(DataFiles::List(entries)) => {
                for entry in entries {
                    match entry {
                        Entry::Pattern(pattern) => add(tree, &root, pattern, split(TRAIN), &mut files)?,
                        Entry::Split { split: name, path } => add_all(tree, &root, path, name, &mut files)?,
                    }
                }
            }
            Some(DataFiles::BySplit(by_split)) => {
                for (name, patterns) in by_split {
                    add_all(tree, &root, patterns, name, &mut files)?;
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

fn add_all(tree: &Tree, root: &Path, patterns: &Patterns, split: &str, files: &mut Vec<SplitFile>) -> Result<()> {
    let patterns = match patterns {
        Patterns::One(pattern) => std::slice::from_ref(pattern),
        Patterns::Many(patterns) => patterns,
    };
    patterns.iter().try_for_each(|pattern| add(tree, root, pattern, Some(split.to_string()), files))
}

/// Adds the Parquet files that a pattern matches.
fn add(tree: &Tree, root: &Path, pattern: &str, split: Option<String>, files: &mut Vec<SplitFile>) -> Result<()> {
    inside(root, pattern)?;
    let empty = |reason: String| DatasetError::Empty { path: root.to_path_buf(), reason };
    let found = tree
        .glob(root, pattern)
        .map_err(|error| empty(format!("its card has `{pattern}`, which is not a pattern of file names: {error}")))?;
    let mut matched = Vec::new();
    for path in found {
        if tree.kind(&path)? == Some(Kind::Folder) {
            matched.extend(below::files(tree, &path, false)?);
        } else if listing::is_parquet(&path) {
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
