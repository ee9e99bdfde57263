//! The hashes of file contents in the user's cache, each with the version of the files that it belongs to.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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

/// `anyflow/hashes` in the user's cache folder, if the user has one.
pub(super) fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("anyflow/hashes"))
}
