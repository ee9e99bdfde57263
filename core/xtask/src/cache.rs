//! The cache folder for downloads that all checkouts share.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Prefix of temporary folders.
const TEMPORARY: &str = "temporary-";

/// Age after which a temporary folder must be left from a killed run.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Returns the cache folder, creating it if needed: `anyflow` in `XDG_CACHE_HOME`, else in `~/.cache`.
///
/// # Errors
///
/// Neither variable is set, or the folder cannot be created.
pub fn folder() -> Result<PathBuf> {
    let folder = located(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"))
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no cache folder for libtorch: set one of them")?;
    fs::create_dir_all(&folder).with_context(|| {
        format!("cannot create the cache folder {}: set XDG_CACHE_HOME to a writable folder", folder.display())
    })?;
    Ok(folder)
}

/// A temporary folder next to the final place, so that a rename can publish the result.
///
/// # Errors
///
/// The cache folder cannot be written.
pub fn temporary(folder: &Path) -> Result<TempDir> {
    remove_abandoned(folder);
    tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(folder).with_context(|| {
        format!("cannot write to the cache folder {}: set XDG_CACHE_HOME to another one", folder.display())
    })
}

fn located(cache_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    // The XDG specification says to ignore relative paths.
    let cache_home = cache_home.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = home.map(PathBuf::from).filter(|path| path.is_absolute());
    cache_home.or_else(|| Some(home?.join(".cache"))).map(|path| path.join("anyflow"))
}

/// Removes temporary folders of killed runs, which may hold a gigabyte. Ignores errors.
fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        if ours && age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cache_home: Option<&str>, home: Option<&str>, expected: Option<&str>) {
        assert_eq!(located(cache_home.map(Into::into), home.map(Into::into)), expected.map(PathBuf::from));
    }

    #[test]
    fn the_cache_follows_xdg_cache_home() {
        check(Some("/cache"), Some("/home/me"), Some("/cache/anyflow"));
        check(None, Some("/home/me"), Some("/home/me/.cache/anyflow"));
        check(Some("relative"), Some("/home/me"), Some("/home/me/.cache/anyflow"));
        check(Some(""), None, None);
        check(None, Some(""), None);
    }

    #[test]
    fn only_old_temporary_folders_are_removed() {
        let cache = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - 2 * ABANDONED;
        for (name, is_old) in [("temporary-old", true), ("temporary-new", false), ("libtorch-2.11.0", true)] {
            fs::create_dir(cache.path().join(name)).unwrap();
            if is_old {
                fs::File::open(cache.path().join(name)).unwrap().set_modified(old).unwrap();
            }
        }
        remove_abandoned(cache.path());
        assert!(!cache.path().join("temporary-old").exists());
        assert!(cache.path().join("temporary-new").exists());
        assert!(cache.path().join("libtorch-2.11.0").exists());
    }
}
