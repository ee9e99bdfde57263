//! The identity of a dataset's content, independent of the names and paths of its files.

use std::fmt;
use std::path::Path;

use super::hash_cache::{cache_folder, entry, recall, remember};
use super::links::{self, Linked};
use super::{Dataset, Part};
use crate::data_file::{DataFile, Version};
use crate::error::{Result, io_error};
use crate::hash::hash_of;

/// The identity of the content of a dataset, independent of names and paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Hex blake3 of the dataset's files, in row order.
    pub files: String,
    linked: Option<Linked>,
}

impl Content {
    pub(super) fn of(dataset: &Dataset) -> Result<Content> {
        Ok(Content { files: files(dataset.parts())?, linked: links::linked(dataset)? })
    }

    /// Hex blake3 of the files that media cells link to, in the order of rows and columns; `None` if no cell links.
    pub fn linked(&self) -> Option<String> {
        Some(self.linked.as_ref()?.content.to_hex().to_string())
    }

    pub(super) fn check_linked(&self, dataset: &Dataset) -> Result<()> {
        self.linked.as_ref().map_or(Ok(()), |linked| links::check(dataset, linked))
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.files)?;
        self.linked().map_or(Ok(()), |linked| write!(f, " {linked}"))
    }
}

/// Hash of the content of all files, in order, and of the columns that their folders name. An object counts by the hash in
/// its manifest, else by what the store says of it.
fn files(parts: &[Part]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        let hash = match part.source.object_version() {
            None => file_hash(&part.source, cache_folder().as_deref())?,
            // Reading an object as a whole takes as long as the job.
            Some(version) => part.listed.unwrap_or_else(|| version.identity()),
        };
        hasher.update(&part.source.size_bytes.to_le_bytes());
        hasher.update(hash.as_bytes());
        part.hash_folders(&mut hasher);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Hash of a file, from the cache if it has this version.
fn file_hash(source: &DataFile, cache: Option<&Path>) -> Result<blake3::Hash> {
    let path = &source.path;
    let mut file = source.open()?;
    let before = Version::of(&file.metadata().map_err(io_error(path, "read"))?);
    if let Some(hash) = cache.and_then(|cache| recall(&before, &entry(&before, cache))) {
        return Ok(hash);
    }
    let settled = before.is_settled();
    let hash = hash_of(&mut file).map_err(io_error(path, "read"))?;
    let after = Version::of(&file.metadata().map_err(io_error(path, "read"))?);
    if after != before {
        return Err(source.changed(after.size_bytes));
    }
    if let Some(cache) = cache.filter(|_| settled) {
        // Best effort: without an entry, the next call reads the file again.
        let path = entry(&before, cache);
        let _ = remember(before, hash, &path);
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_of_a_file_is_read_again() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        let cache = place.path().join("cache");
        std::fs::write(&path, b"one").unwrap();
        let source = DataFile::new(&path).unwrap();
        let version = Version::of(&std::fs::metadata(&path).unwrap());
        let other = blake3::hash(b"a mark of the cache");
        remember(version.clone(), other, &entry(&version, &cache)).unwrap();
        assert_eq!(file_hash(&source, Some(&cache)).unwrap(), other);
        let departures: [fn(&mut Version); 5] = [
            |version| version.device += 1,
            |version| version.inode += 1,
            |version| version.size_bytes += 1,
            |version| version.modified.1 += 1,
            |version| version.changed.0 -= 1,
        ];
        for depart in departures {
            let mut departed = version.clone();
            depart(&mut departed);
            remember(departed, other, &entry(&version, &cache)).unwrap();
            assert_eq!(file_hash(&source, Some(&cache)).unwrap(), blake3::hash(b"one"));
        }
        for damaged in [&b"{"[..], b"", b"[]"] {
            std::fs::write(entry(&version, &cache), damaged).unwrap();
            assert_eq!(file_hash(&source, Some(&cache)).unwrap(), blake3::hash(b"one"));
        }
    }

    #[test]
    fn a_file_that_just_changed_is_not_cached() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        let cache = place.path().join("cache");
        std::fs::write(&path, b"one").unwrap();
        let source = DataFile::new(&path).unwrap();
        assert_eq!(file_hash(&source, Some(&cache)).unwrap(), blake3::hash(b"one"));
        assert!(!cache.exists());
    }
}
