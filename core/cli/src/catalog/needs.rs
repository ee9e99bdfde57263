//! The libraries that a plugin needs from the system.

use std::path::{Path, PathBuf};

use anyflow_abi::read::Needs;

use crate::libtorch::Libtorch;

/// The list of all libraries in the system's folders. Its names stand between zero bytes.
const CACHE: &str = "/etc/ld.so.cache";
/// Folders that the loader searches, in which most libraries are: quicker than the list.
const SYSTEM: [&str; 4] = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];

/// The first library that the loader will not find, as far as can be seen without loading. `None` on systems without the
/// list of libraries, and for plugins that need libtorch where there is none: checks and plans do without it.
pub(super) fn missing(file: &Path, needs: &Needs) -> Option<String> {
    let libtorch = Libtorch::find().ok().map(|found| found.root.join("lib"));
    if libtorch.is_none() && needs.libraries.iter().any(|name| name.starts_with("libtorch")) {
        return None;
    }
    let folders = folders(file, needs, libtorch);
    let unfound: Vec<&String> =
        needs.libraries.iter().filter(|name| !folders.iter().any(|folder| folder.join(name).exists())).collect();
    if unfound.is_empty() {
        return None;
    }
    let cache = std::fs::read(CACHE).ok()?;
    let listed = |name: &str| {
        let name = [name.as_bytes(), b"\0"].concat();
        cache.windows(name.len()).any(|bytes| bytes == name)
    };
    unfound.into_iter().find(|name| !listed(name)).cloned()
}

/// The folders of the run path, of the environment, of libtorch and of the system.
fn folders(file: &Path, needs: &Needs, libtorch: Option<PathBuf>) -> Vec<PathBuf> {
    let own = file.parent().unwrap_or(Path::new("/")).display().to_string();
    let of_run_path = |folder: &String| PathBuf::from(folder.replace("${ORIGIN}", &own).replace("$ORIGIN", &own));
    let run_path = needs.folders.iter().map(of_run_path);
    let environment = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let environment = std::env::split_paths(&environment).collect::<Vec<_>>();
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let system = SYSTEM.iter().flat_map(|folder| [PathBuf::from(folder), Path::new(folder).join(&triplet)]);
    run_path.chain(environment).chain(libtorch).chain(system).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(libraries: &[&str], folders: &[&str]) -> Needs {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Needs { name: None, libraries: owned(libraries), folders: owned(folders) }
    }

    #[test]
    fn only_a_library_in_no_folder_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plugins/liba.so");
        std::fs::create_dir_all(folder.path().join("plugins/more")).unwrap();
        std::fs::write(folder.path().join("plugins/more/libown.so"), "").unwrap();
        assert_eq!(missing(&file, &needs(&["libc.so.6", "libm.so.6"], &[])), None);
        assert_eq!(missing(&file, &needs(&["libown.so"], &["${ORIGIN}/more"])), None);
        let found = missing(&file, &needs(&["libc.so.6", "libown.so"], &["$ORIGIN"]));
        assert_eq!(found.is_some(), Path::new(CACHE).exists());
        assert_eq!(found.unwrap_or("libown.so".into()), "libown.so");
    }
}
