//! Where libtorch lies. The front needs none of it; the engine is started with its library folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The only version that fits.
pub const VERSION: &str = "2.11.0";

const LIBRARY: &str = if cfg!(target_os = "macos") { "libtorch_cpu.dylib" } else { "libtorch_cpu.so" };

/// No libtorch.
#[derive(Debug, thiserror::Error)]
pub enum LibtorchError {
    /// The user must correct the variable.
    #[error(
        "LIBTORCH is set to {}, but there is no lib/{LIBRARY} in it; set it to the folder of libtorch {VERSION}, or \
         unset it and run `cargo xtask setup`",
        .0.display()
    )]
    Variable(PathBuf),
    /// The user must get it.
    #[error(
        "libtorch {VERSION} was not found (looked in {}); run `cargo xtask setup`, or set LIBTORCH to its folder",
        .0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Nowhere(Vec<PathBuf>),
}

/// A libtorch.
#[derive(Clone, Debug, PartialEq)]
pub struct Libtorch {
    /// Its folder.
    pub root: PathBuf,
    /// How it was found.
    pub found_by: &'static str,
}

impl Libtorch {
    /// Looks in `LIBTORCH`, then in the links that `cargo xtask setup` makes, then in the user's cache.
    ///
    /// # Errors
    /// [`LibtorchError`], with the way out.
    pub fn find() -> Result<Libtorch, LibtorchError> {
        let exe = std::env::current_exe().ok();
        find(std::env::var_os("LIBTORCH"), exe.as_deref().and_then(Path::parent), cache().as_deref())
    }

    /// The folder of the libraries.
    pub fn lib(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// The version that it states, as in its file `build-version` or its headers.
    pub fn version(&self) -> Option<String> {
        let read = |file: &str| std::fs::read_to_string(self.root.join(file)).ok();
        let stated = read("build-version").map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
        let headers = ["include/torch/headeronly/version.h", "include/torch/csrc/api/include/torch/version.h"];
        stated.or_else(|| headers.iter().find_map(|header| version_from_header(&read(header)?)))
    }

    /// Whether the CUDA libraries lie with it.
    pub fn has_cuda(&self) -> bool {
        self.lib().join("libtorch_cuda.so").exists()
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

fn find(variable: Option<OsString>, beside: Option<&Path>, cache: Option<&Path>) -> Result<Libtorch, LibtorchError> {
    if let Some(root) = variable.filter(|value| !value.is_empty()).map(PathBuf::from) {
        let found = Libtorch { root, found_by: "LIBTORCH" };
        return if whole(&found.root) { Ok(found) } else { Err(LibtorchError::Variable(found.root)) };
    }
    // Programs lie one folder deep in the target directory or the distribution, in a cross build two.
    let links = beside.map(|folder| [folder.join("../../.libtorch"), folder.join("../../../.libtorch")]);
    let links =
        links.into_iter().flatten().map(|root| Libtorch { root, found_by: "the link made by `cargo xtask setup`" });
    let cached = cache.map(|root| Libtorch { root: root.to_path_buf(), found_by: "the cache" });
    let mut looked = Vec::new();
    for candidate in links.chain(cached) {
        if whole(&candidate.root) {
            let root = candidate.root.canonicalize().unwrap_or(candidate.root);
            return Ok(Libtorch { root, ..candidate });
        }
        looked.push(candidate.root);
    }
    Err(LibtorchError::Nowhere(looked))
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
    fn the_variable_then_the_link_then_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (variable, cache) = (root.join("variable"), root.join("cache"));
        let (link, beside) = (root.join(".libtorch"), root.join("target/debug"));
        std::fs::create_dir_all(&beside).unwrap();
        [&variable, &cache, &link].into_iter().for_each(|path| libtorch(path));

        let found = find(Some(variable.clone().into()), Some(&beside), Some(&cache)).unwrap();
        assert_eq!((found.root.clone(), found.version().as_deref()), (variable, Some("2.11.0+cpu")));
        assert_eq!(find(None, Some(&beside), Some(&cache)).unwrap().root, link);
        std::fs::remove_dir_all(&link).unwrap();
        assert_eq!(find(Some("".into()), Some(&beside), Some(&cache)).unwrap().root, cache);
    }

    #[test]
    fn what_is_missing_is_said_with_the_way_out() {
        let nowhere = find(None, Some(Path::new("/no/bin")), Some(Path::new("/no/cache"))).unwrap_err().to_string();
        assert!(nowhere.contains("/no/cache") && nowhere.contains("cargo xtask setup"), "{nowhere}");
        let variable = find(Some("/no/such".into()), None, None).unwrap_err();
        assert!(matches!(variable, LibtorchError::Variable(_)));
    }
}
