//! The libraries that a plugin's library needs from its run path. They are loaded before it, with the same checks.

use std::path::{Path, PathBuf};

use anyflow_abi::read::Needs;
use libloading::os::unix::{Library, RTLD_LAZY};

use super::allowed;
use crate::device;

/// Names of the library's folder in a run path.
const ORIGIN: [&str; 2] = ["$ORIGIN", "${ORIGIN}"];
/// `RTLD_NOLOAD` of glibc and musl: open only libraries that are already loaded.
const NO_LOAD: i32 = 4;

/// Finds the libraries that the library at `path` needs from its run path, with their files. Libraries that are already
/// loaded, belong to libtorch, or are only in the system's folders are left out.
///
/// # Errors
/// The run path depends on the current folder; a library is needed by a path.
pub(super) fn files(path: &Path, needs: &Needs) -> Result<Vec<(String, PathBuf)>, String> {
    let folders = folders(path, needs)?;
    let mut files = Vec::new();
    for name in &needs.libraries {
        if name.contains('/') {
            return Err(format!("it needs the library {name} by a path; link it by its name alone"));
        }
        if is_loaded(name) || is_libtorchs(name) {
            continue;
        }
        let found = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
        if found.is_none() && allowed::is_limited() {
            tracing::warn!("{} needs {name}, which the list of allowed plugins does not cover", path.display());
        }
        files.extend(found.map(|file| (name.clone(), file)));
    }
    Ok(files)
}

/// The folders of the run path.
fn folders(path: &Path, needs: &Needs) -> Result<Vec<PathBuf>, String> {
    let own = path.parent().unwrap_or(Path::new("/"));
    let mut folders = Vec::new();
    for folder in &needs.folders {
        let relative = ORIGIN.iter().find_map(|origin| folder.strip_prefix(origin));
        match relative {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                folders.push(PathBuf::from(format!("{}{rest}", own.display())));
            }
            None if folder.starts_with('/') => folders.push(folder.into()),
            _ => {
                return Err(format!(
                    "it has the run path {:?}, whose entry {folder:?} depends on the current folder; link it with \
                     -Wl,-rpath,$ORIGIN",
                    needs.folders.join(":")
                ));
            }
        }
    }
    Ok(folders)
}

fn is_loaded(name: &str) -> bool {
    // SAFETY: `NO_LOAD` loads nothing, so no library code runs.
    unsafe { Library::open(Some(name), NO_LOAD | RTLD_LAZY) }.is_ok()
}

/// True for a library of this process's libtorch, which is the only copy.
fn is_libtorchs(name: &str) -> bool {
    device::libtorch().is_some_and(|folder| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(folders: &[&str], libraries: &[&str]) -> Needs {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Needs { name: None, libraries: owned(libraries), folders: owned(folders) }
    }

    #[test]
    fn a_run_path_is_absolute_or_relative_to_the_library() {
        let path = Path::new("/plugins/liba.so");
        let found = folders(path, &of(&["$ORIGIN", "${ORIGIN}/../lib", "/opt/lib"], &[])).unwrap();
        assert_eq!(found, ["/plugins", "/plugins/../lib", "/opt/lib"].map(PathBuf::from));
        for relative in ["", ".", "lib", "$ORIGINAL/lib", "$LIB"] {
            let text = folders(path, &of(&[relative], &[])).unwrap_err();
            assert!(text.contains("current folder"), "{text}");
        }
    }

    #[test]
    fn only_libraries_of_the_run_path_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("liba.so");
        let needed = folder.path().join("libb.so");
        for file in [&needed, &folder.path().join("libc.so.6")] {
            std::fs::write(file, "").unwrap();
        }
        let found = files(&path, &of(&["$ORIGIN"], &["libb.so", "libc.so.6", "libnowhere.so"])).unwrap();
        assert_eq!(found, [("libb.so".to_string(), needed)]);
        assert!(files(&path, &of(&[], &["./libb.so"])).is_err());
    }
}
