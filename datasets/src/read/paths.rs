//! Resolves what the user names to a list of files, and checks that each is the expected one.
//!
//! A name is a file, a folder or a pattern, the last two also with what of it is meant: `DIR#test`, `DIR#config/test`, `DIR#all`.

mod below;
mod braces;
mod card;
mod entry;
mod hive;
mod lakes;
mod listing;
mod output;
mod parted;
mod pattern;
mod selection;
mod splits;
mod stored;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use entry::Kind;
pub(crate) use hive::FolderColumn;
pub(crate) use listing::is_parquet;
use selection::Selection;
pub(crate) use splits::{split_named, split_of};
use tree::Tree;
pub(crate) use tree::matches_of;

use super::Part;
use super::marks;
use crate::data_file::DataFile;
use crate::error::{DatasetError, Result, io_error};
use crate::output::{Manifest, Shard};
use crate::store::{Address, ObjectVersion};

/// A file to read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Columns that the names of its folders give.
    pub(super) folders: Vec<FolderColumn>,
    origin: Origin,
    /// The version of an object that was listed.
    object: Option<ObjectVersion>,
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

impl Found {
    /// A file that the user or a dataset card names.
    fn named(path: PathBuf) -> Found {
        Found { folders: hive::columns_of(&path), path, origin: Origin::Named, object: None }
    }

    /// A file that lies in a folder.
    fn in_folder(path: PathBuf) -> Found {
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Found { folders: hive::columns_of(&path), path, origin: Origin::Folder(folder), object: None }
    }

    /// The file, of the version that was listed.
    pub(super) fn data_file(&self) -> Result<DataFile> {
        match (&self.object, Address::parse(&self.path)?) {
            (Some(version), Some(address)) => Ok(DataFile::object(address, version.clone())),
            _ => DataFile::new(&self.path),
        }
    }

    /// The hash of its content in a manifest.
    pub(super) fn listed_hash(&self) -> Option<blake3::Hash> {
        match &self.origin {
            Origin::Listed { shard, .. } => blake3::Hash::from_hex(&shard.blake3).ok(),
            _ => None,
        }
    }
}

impl AsRef<Path> for Found {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// The data files of what the user names, in reading order.
pub(super) fn files_from_paths(paths: &[PathBuf]) -> Result<Vec<Found>> {
    let mut files = Vec::new();
    for path in paths {
        files.extend(files_of(path)?);
    }
    if files.is_empty() {
        return Err(DatasetError::Empty { path: PathBuf::from("input"), reason: "no file was named".into() });
    }
    Ok(files)
}

fn files_of(path: &Path) -> Result<Vec<Found>> {
    let tree = Tree::of(path)?;
    if let Some(kind) = tree.kind(path)? {
        return chosen(&tree, path, kind, &Selection::Default);
    }
    let (path, selection) = selection::parse(path);
    let tree = Tree::of(&path)?;
    if let Some(kind) = tree.kind(&path)? {
        return chosen(&tree, &path, kind, &selection);
    }
    pattern::files(&path, &selection)
}

/// The files of an existing path.
fn chosen(tree: &Tree, path: &Path, kind: Kind, selection: &Selection) -> Result<Vec<Found>> {
    let files = match (kind, selection) {
        (Kind::Folder, _) => files_in_folder(tree, path, selection),
        (Kind::File, Selection::Default | Selection::All) => Ok(vec![Found::named(path.to_path_buf())]),
        (Kind::File, Selection::Named(_)) => {
            let reason = "it is a file, and only folders and patterns have splits".into();
            Err(DatasetError::Empty { path: path.to_path_buf(), reason })
        }
    };
    let version = |path: &Path| match tree {
        Tree::Disk => None,
        Tree::Store(listed) => listed.version(path).cloned(),
    };
    Ok(files?.into_iter().map(|file| Found { object: version(&file.path), ..file }).collect())
}

fn files_in_folder(tree: &Tree, folder: &Path, selection: &Selection) -> Result<Vec<Found>> {
    if let Some(shards) = output::files(tree, folder)? {
        return match selection {
            Selection::Default | Selection::All => Ok(shards),
            Selection::Named(_) => Err(no_splits(folder, "it is the output of a run, which has no splits")),
        };
    }
    lakes::refuse(tree, folder)?;
    parted::check(tree, folder)?;
    if let Some(configs) = card::read(tree, folder)? {
        return card::files(tree, folder, configs, selection);
    }
    let files = below::files(tree, folder, *selection == Selection::All)?;
    let split_of = |file: &PathBuf| splits::split_of(file.strip_prefix(folder).ok()?);
    let files = splits::chosen(folder, files, selection, split_of)?;
    Ok(files.into_iter().map(Found::in_folder).collect())
}

fn no_splits(folder: &Path, reason: &str) -> DatasetError {
    DatasetError::Splits { path: folder.to_path_buf(), reason: reason.into(), choices: vec![shown(folder, "")] }
}

/// How a part of a folder or pattern is named.
fn shown(folder: &Path, part: &str) -> String {
    let folder = folder.display().to_string();
    let name = if part.is_empty() { folder } else { format!("{folder}#{part}") };
    // Shells replace patterns.
    if pattern::is_special(&name) { format!("'{name}'") } else { name }
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

fn there(path: &Path) -> Result<bool> {
    match path.try_exists() {
        // A part of the path is a file, or a pattern is too long for a name.
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotADirectory | std::io::ErrorKind::InvalidFilename) =>
        {
            Ok(false)
        }
        found => found.map_err(io_error(path, "open")),
    }
}
