//! Finds libtorch. This program does not load it; the engine is started with its library folder.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::exposure;

/// The version that this release needs.
pub const VERSION: &str = "2.11.0";

const LIBRARY: &str = if cfg!(target_os = "macos") { "libtorch_cpu.dylib" } else { "libtorch_cpu.so" };

/// Libtorch was not found.
#[derive(Debug, thiserror::Error)]
pub enum LibtorchError {
    /// `LIBTORCH` is wrong. The user must correct it.
    #[error(
        "LIBTORCH is set to {}, but there is no lib/{LIBRARY} in it; set it to the folder of libtorch {VERSION}, or \
         unset it and run `cargo xtask setup`",
        .0.display()
    )]
    Variable(PathBuf),
    /// The path cannot be a library path entry. The user must move libtorch.
    #[error(
        "libtorch is in {}, but the system's loader splits folder names at `:` and `;`; move it to a folder without \
         these",
        .0.display()
    )]
    Separator(PathBuf),
    /// There is none. The user must install it.
    #[error(
        "libtorch {VERSION} was not found (looked in {}); run `cargo xtask setup`, or set LIBTORCH to its folder",
        .0.iter().map(Looked::to_string).collect::<Vec<_>>().join(", ")
    )]
    Nowhere(Vec<Looked>),
}

/// A place that was searched.
#[derive(Debug)]
pub struct Looked {
    root: PathBuf,
    /// Why the libtorch there is not used.
    refused: Option<String>,
}

impl fmt::Display for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root.display())?;
        self.refused.iter().try_for_each(|why| write!(f, " (not used: {why})"))
    }
}

/// A libtorch installation.
#[derive(Clone, Debug, PartialEq)]
pub struct Libtorch {
    /// Its folder.
    pub root: PathBuf,
    /// How it was found.
    pub found_by: &'static str,
}

impl Libtorch {
    /// Searches `LIBTORCH`; then, for a program in cargo's target folder, the link of `cargo xtask setup`; then the
    /// user's cache.
    ///
    /// # Errors
    /// [`LibtorchError`], which says what to do.
    pub fn find() -> Result<Libtorch, LibtorchError> {
        let exe = std::env::current_exe().ok();
        find(std::env::var_os("LIBTORCH"), exe.as_deref().and_then(Path::parent), cache().as_deref())
    }

    /// The folder of its libraries.
    pub fn lib(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// Its version, from the file `build-version` or the headers.
    pub fn version(&self) -> Option<String> {
        let read = |file: &str| std::fs::read_to_string(self.root.join(file)).ok();
        let stated = read("build-version").map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
        let headers = ["include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"];
        stated.or_else(|| headers.iter().find_map(|header| version_from_header(&read(header)?)))
    }

    /// True if the CUDA libraries are installed.
    pub fn has_cuda(&self) -> bool {
        self.lib().join("libtorch_cuda.so").exists()
    }

    /// Why other users could change its code, if they can.
    pub fn exposure(&self) -> Option<String> {
        exposed(&self.root)
    }

    /// For `--json`.
    pub fn json(&self) -> Value {
        json!({"path": self.root.display().to_string(), "found_by": self.found_by, "version": self.version(), "cuda": self.has_cuda()})
    }
}

fn cache() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|base| !base.is_empty()).map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(base.join("anyflow").join(format!("libtorch-{VERSION}")))
}

fn find(
    variable: Option<OsString>,
    program_folder: Option<&Path>,
    cache: Option<&Path>,
) -> Result<Libtorch, LibtorchError> {
    if let Some(root) = variable.filter(|value| !value.is_empty()).map(PathBuf::from) {
        return if whole(&root) { found(&root, "LIBTORCH") } else { Err(LibtorchError::Variable(root)) };
    }
    let links = program_folder
        .map(links)
        .unwrap_or_default()
        .into_iter()
        .map(|link| (link, "the link made by `cargo xtask setup`"));
    let cached = cache.map(|root| (root.to_path_buf(), "the cache"));
    let mut looked = Vec::new();
    for (root, found_by) in links.chain(cached) {
        let is_whole = whole(&root);
        let refused = if is_whole { exposed(&root) } else { None };
        if is_whole && refused.is_none() {
            return found(&root, found_by);
        }
        looked.push(Looked { root, refused });
    }
    Err(LibtorchError::Nowhere(looked))
}

/// The link is next to cargo's target folder, one level above the program's folder, or two in a cross build. Only
/// folders with cargo's tag count: next to any other folder, anybody could have made the link.
fn links(program_folder: &Path) -> Vec<PathBuf> {
    let targets = [program_folder.join(".."), program_folder.join("../..")];
    let targets = targets.into_iter().filter(|target| target.join("CACHEDIR.TAG").is_file());
    targets.map(|target| target.join("../.libtorch")).collect()
}

/// Why other users could change the code of this libtorch, if they can.
fn exposed(root: &Path) -> Option<String> {
    let real = root.canonicalize().ok()?;
    let folders = [root.parent()?.to_path_buf(), real.join("lib"), real];
    folders.iter().find_map(|folder| Some(format!("{} {}", folder.display(), exposure::of(folder)?)))
}

fn found(root: &Path, found_by: &'static str) -> Result<Libtorch, LibtorchError> {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let is_cut = root.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b':' | b';'));
    if is_cut { Err(LibtorchError::Separator(root)) } else { Ok(Libtorch { root, found_by }) }
}

fn whole(root: &Path) -> bool {
    root.join("lib").join(LIBRARY).is_file()
}

fn version_from_header(header: &str) -> Option<String> {
    let part = |name: &str| {
        let define = format!("#define TORCH_VERSION_{name} ");
        header.lines().find_map(|line| line.strip_prefix(&define)).map(str::trim)
    };
    Some(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libtorch(root: &Path) {
        std::fs::create_dir_all(root.join("lib")).unwrap();
        std::fs::write(root.join("lib").join(LIBRARY), "").unwrap();
        std::fs::write(root.join("build-version"), "2.11.0+cpu\n").unwrap();
    }

    #[test]
    fn libtorch_is_searched_in_variable_link_and_cache() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let variable = root.join("variable");
        let cache = root.join("cache");
        let link = root.join(".libtorch");
        let program_folder = root.join("target/debug");
        std::fs::create_dir_all(&program_folder).unwrap();
        std::fs::write(root.join("target/CACHEDIR.TAG"), "").unwrap();
        [&variable, &cache, &link].into_iter().for_each(|path| libtorch(path));

        let found = find(Some(variable.clone().into()), Some(&program_folder), Some(&cache)).unwrap();
        assert_eq!((found.root.clone(), found.version().as_deref()), (variable, Some("2.11.0+cpu")));
        assert_eq!(find(None, Some(&program_folder), Some(&cache)).unwrap().root, link);
        std::fs::remove_dir_all(&link).unwrap();
        assert_eq!(find(Some("".into()), Some(&program_folder), Some(&cache)).unwrap().root, cache);
    }

    #[test]
    fn a_link_in_a_folder_of_others_is_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let unpacked = root.join("unpacked/bin");
        let target = root.join("target/debug");
        [&unpacked, &target].into_iter().for_each(|path| std::fs::create_dir_all(path).unwrap());
        libtorch(&root.join(".libtorch"));
        let nowhere = |program_folder: &Path| find(None, Some(program_folder), None).unwrap_err().to_string();
        assert!(!nowhere(&unpacked).contains(".libtorch"), "a distribution follows no link above it");
        std::fs::write(root.join("target/CACHEDIR.TAG"), "").unwrap();
        assert!(find(None, Some(&target), None).is_ok());
        for exposed in [root.clone(), root.join(".libtorch"), root.join(".libtorch/lib")] {
            let mode = |bits| std::fs::set_permissions(&exposed, std::fs::Permissions::from_mode(bits)).unwrap();
            mode(0o777);
            let text = nowhere(&target);
            mode(0o755);
            assert!(text.contains("writable by everyone"), "{}: {text}", exposed.display());
        }
    }

    #[test]
    fn a_path_that_the_loader_would_split_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a:lib");
        libtorch(&root);
        let error = find(Some(root.into()), None, None).unwrap_err();
        assert!(matches!(error, LibtorchError::Separator(_)), "{error}");
    }

    #[test]
    fn a_missing_libtorch_names_the_places_and_the_remedy() {
        let nowhere = find(None, Some(Path::new("/no/bin")), Some(Path::new("/no/cache"))).unwrap_err().to_string();
        assert!(nowhere.contains("/no/cache") && nowhere.contains("cargo xtask setup"), "{nowhere}");
        let variable = find(Some("/no/such".into()), None, None).unwrap_err();
        assert!(matches!(variable, LibtorchError::Variable(_)));
    }
}
