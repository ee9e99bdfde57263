//! Results that several tests share. Tests run in separate processes, so the first one to need a result writes it to a
//! folder of the target directory.

use std::fs::{File, rename};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::target;

/// Older folders belong to earlier builds.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Returns a folder filled by `make`, for the same key, programs and plugins. Do not write to it.
///
/// # Panics
/// If a folder cannot be written.
pub fn shared(key: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let parent = target().join("shared-test-data");
    std::fs::create_dir_all(&parent).expect("a folder");
    let folder = parent.join(&fingerprint(key)[..32]);
    let lock = File::create(folder.with_extension("lock")).expect("a lock file");
    // The lock ends with the file, even if `make` panics.
    lock.lock().expect("a lock");
    if !folder.exists() {
        remove_old(&parent);
        let fresh = tempfile::tempdir_in(&parent).expect("a temporary folder");
        let filled = fresh.path().join("filled");
        std::fs::create_dir(&filled).expect("a folder");
        make(&filled);
        rename(&filled, &folder).expect("a rename");
    }
    folder
}

/// Copies the contents of a folder into another, creating it if needed.
///
/// # Panics
/// If `cp` fails.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    let status = Command::new("cp").arg("-r").args([&from.join("."), &to.to_path_buf()]).status();
    assert!(status.is_ok_and(|status| status.success()), "cp -r {}", from.display());
}

/// A hash of the key and the build times of programs and plugins.
fn fingerprint(key: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.as_bytes());
    let entries = std::fs::read_dir(target()).expect("the target folder").map(|entry| entry.expect("an entry"));
    let is_ours = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name == "anyflow" || name == "anyflow-engine" || (name.starts_with("libanyflow_") && name.ends_with(".so"))
    };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_ours(path)).collect();
    files.sort();
    for file in files {
        let modified = std::fs::metadata(&file).and_then(|found| found.modified()).expect("a file time");
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        hasher.update(file.as_os_str().as_encoded_bytes()).update(&since.as_nanos().to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn remove_old(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > LIFETIME) {
            // Best effort: another process may remove it at the same time.
            let _ = std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()));
        }
    }
}
