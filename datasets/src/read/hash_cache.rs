//! The hashes of file contents in the user's cache, each with the version of the files that it belongs to.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data_file::Version;
use crate::error::{Result, io_error};
use crate::folder::NewFile;

/// An entry of the cache: the hash of a version.
#[derive(Serialize, Deserialize)]
struct Known<V> {
    version: V,
    blake3: String,
}

/// The hash in an entry, if it belongs to this version.
pub(super) fn recall<V: DeserializeOwned + PartialEq>(version: &V, entry: &Path) -> Option<blake3::Hash> {
    let known: Known<V> = serde_json::from_slice(&std::fs::read(entry).ok()?).ok()?;
    (known.version == *version).then(|| blake3::Hash::from_hex(known.blake3).ok())?
}

pub(super) fn remember<V: Serialize>(version: V, hash: blake3::Hash, entry: &Path) -> Result<()> {
    if let Some(cache) = entry.parent() {
        std::fs::create_dir_all(cache).map_err(io_error(cache, "create"))?;
    }
    let mut file = NewFile::beside(entry)?;
    let known = Known { version, blake3: hash.to_hex().to_string() };
    file.write_all(&crate::record::to_json(&known)?).map_err(io_error(entry, "write"))?;
    file.publish()
}

/// A version of an open file, and the hash that an earlier reading of this version found.
#[derive(Debug)]
pub struct FileVersion {
    version: Version,
    is_settled: bool,
    cache: Option<PathBuf>,
}

impl FileVersion {
    /// The version of a file now.
    ///
    /// # Errors
    /// The disk.
    pub fn of(file: &File) -> std::io::Result<FileVersion> {
        let version = Version::of(&file.metadata()?);
        Ok(FileVersion { is_settled: version.is_settled(), version, cache: cache_folder() })
    }

    /// Hex blake3 of the file's content, if it is known. Once a file has settled, each change of its content changes its version.
    pub fn known_hash(&self) -> Option<String> {
        let cache = self.cache.as_deref().filter(|_| self.is_settled)?;
        Some(recall(&self.version, &entry(&self.version, cache))?.to_hex().to_string())
    }

    /// Keeps a hash that was found by reading the whole file, if the file is still this version. Best effort: without an
    /// entry, the next reading hashes again.
    ///
    /// # Errors
    /// The file is another version now, so what was read may be a mixture.
    pub fn confirm(&self, path: &Path, blake3: &str) -> std::io::Result<()> {
        if Version::of(&std::fs::metadata(path)?) != self.version {
            return Err(std::io::Error::other("the file changed while it was read"));
        }
        let kept = self.cache.as_deref().filter(|_| self.is_settled).zip(blake3::Hash::from_hex(blake3).ok());
        if let Some((cache, hash)) = kept {
            let _ = remember(self.version.clone(), hash, &entry(&self.version, cache));
        }
        Ok(())
    }
}

/// The file in the cache for a version.
pub(super) fn entry(version: &Version, cache: &Path) -> PathBuf {
    cache.join(format!("{:x}-{:x}.json", version.device, version.inode))
}

/// `anyflow/hashes` in the user's cache folder, if the user has one.
pub(super) fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("anyflow/hashes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(path: &Path, cache: &Path) -> FileVersion {
        let known = FileVersion::of(&File::open(path).unwrap()).unwrap();
        FileVersion { is_settled: true, cache: Some(cache.to_path_buf()), ..known }
    }

    #[test]
    fn a_hash_is_known_for_the_version_that_was_read() {
        let place = tempfile::tempdir().unwrap();
        let [path, cache] = ["a", "cache"].map(|name| place.path().join(name));
        std::fs::write(&path, b"one").unwrap();
        let hash = blake3::hash(b"one").to_hex().to_string();
        let before = version(&path, &cache);
        assert_eq!(before.known_hash(), None);
        before.confirm(&path, &hash).unwrap();
        assert_eq!(version(&path, &cache).known_hash(), Some(hash.clone()));
        let unsettled = FileVersion { is_settled: false, ..version(&path, &cache) };
        assert_eq!(unsettled.known_hash(), None);
        // The same size and time of modification, which tools can set; the time of the last change they cannot.
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, b"two").unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(version(&path, &cache).known_hash(), None);
        assert!(before.confirm(&path, &hash).is_err());
    }
}
