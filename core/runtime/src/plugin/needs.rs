//! Libraries in folders of a library's own, which are loaded before it and in the same way.

use std::path::{Path, PathBuf};

use anyflow_abi::read::Needs;
use libloading::os::unix::{Library, RTLD_LAZY};

use super::allowed;
use crate::device;

/// What stands in a run path for the folder of the library.
const ORIGIN: [&str; 2] = ["$ORIGIN", "${ORIGIN}"];
/// `RTLD_NOLOAD` of glibc and musl: only libraries that are there already.
const NO_LOAD: i32 = 4;

/// The files that the library of `path` names through its run path. What is loaded already, belongs to libtorch, or is
/// left to the system's folders is not among them.
///
/// # Errors
/// What is loaded would depend on the current folder, or be named by a path.
pub(super) fn files(path: &Path, needs: &Needs) -> Result<Vec<(String, PathBuf)>, String> {
    let folders = folders(path, needs)?;
    let mut files = Vec::new();
    for name in &needs.libraries {
        if name.contains('/') {
            return Err(format!("it needs the library {name} by a path; link that by its name alone"));
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

/// The folders of its run path.
fn folders(path: &Path, needs: &Needs) -> Result<Vec<PathBuf>, String> {
    let own = path.parent().unwrap_or(Path::new("/"));
    let mut folders = Vec::new();
    for folder in &needs.folders {
        let beside = ORIGIN.iter().find_map(|word| folder.strip_prefix(word));
        match beside {
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
    // SAFETY: no library is loaded, so that no code of any runs.
    unsafe { Library::open(Some(name), NO_LOAD | RTLD_LAZY) }.is_ok()
}

/// The one copy of libtorch is that of this process.
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
    fn a_run_path_leads_from_the_library_or_from_the_root() {
        let path = Path::new("/plugins/liba.so");
        let found = folders(path, &of(&["$ORIGIN", "${ORIGIN}/../lib", "/opt/lib"], &[])).unwrap();
        assert_eq!(found, ["/plugins", "/plugins/../lib", "/opt/lib"].map(PathBuf::from));
        for relative in ["", ".", "lib", "$ORIGINAL/lib", "$LIB"] {
            let text = folders(path, &of(&[relative], &[])).unwrap_err();
            assert!(text.contains("current folder"), "{text}");
        }
    }

    #[test]
    fn libraries_of_the_run_path_are_found_and_those_of_the_system_are_not_searched() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("liba.so"), folder.path().join("libb.so"));
        for file in [&beside, &folder.path().join("libc.so.6")] {
            std::fs::write(file, "").unwrap();
        }
        let found = files(&path, &of(&["$ORIGIN"], &["libb.so", "libc.so.6", "libnowhere.so"])).unwrap();
        assert_eq!(found, [("libb.so".to_string(), beside)]);
        assert!(files(&path, &of(&[], &["./libb.so"])).is_err());
    }
}
