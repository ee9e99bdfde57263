//! The plugins that lie about, read from their files without running any of their code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyflow_abi::read::ReadError;
use anyflow_plan::Catalog;
use anyflow_plan::descriptor::PluginDescriptor;
use serde::Deserialize;

use crate::allow::{self, AllowError};
use crate::libtorch;
use crate::paths;

/// What is wrong with the plugins as a whole, or with one that is needed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The user must remove one of them from the search path.
    #[error(
        "plugin `{name}` lies in two places: {} and {}; remove one, or take its folder out of ANYFLOW_PLUGINS",
        first.display(), second.display()
    )]
    Twice {
        /// Name of the plugin.
        name: String,
        /// The file that was found first.
        first: PathBuf,
        /// The other file.
        second: PathBuf,
    },
    /// See the variants.
    #[error(transparent)]
    Allow(#[from] AllowError),
    /// The plugin's author (or whoever builds it) must rebuild it, or the user must take another version.
    #[error("plugin `{name}` ({}) cannot be used: {refusal}", path.display())]
    Refused {
        /// Name of the plugin.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
}

impl CatalogError {
    /// See [`crate::error::CliError::exit_code`].
    pub fn exit_code(&self) -> u8 {
        match self {
            CatalogError::Twice { .. } | CatalogError::Allow(_) => 2,
            CatalogError::Refused { .. } => 3,
        }
    }
}

/// Why a plugin that can be described cannot be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Another file than the user allows.
    #[error("it is not on the list of allowed plugins; if you trust it, add its blake3 hash to the list: {0}")]
    NotAllowed(String),
    /// Another ABI.
    #[error(
        "it was built for ABI {}.{}, this Anyflow has ABI {}.{}; rebuild the plugin with this release's SDK, or use \
         the Anyflow that it was built for",
        .0[0], .0[1], anyflow_abi::ABI_MAJOR, anyflow_abi::ABI_MINOR
    )]
    Abi([u16; 2]),
    /// Another libtorch.
    #[error(
        "it was built for libtorch {0}, this Anyflow runs libtorch {ours}; rebuild the plugin against libtorch {ours}",
        ours = libtorch::VERSION
    )]
    Libtorch(String),
}

/// A plugin file.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its description.
    pub descriptor: PluginDescriptor,
    /// Its file, absolute.
    pub path: PathBuf,
    /// BLAKE3 of the file, in hexadecimal.
    pub hash: String,
    /// Why it cannot be loaded, if so.
    pub refusal: Option<Refusal>,
}

/// A file that should be a plugin and is none.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// All plugins, by name.
#[derive(Clone, Debug, Default)]
pub struct Plugins {
    /// Hashes of the only files that may be loaded, if there is such a list.
    allowed: Option<BTreeSet<String>>,
    /// Those that can be described.
    pub found: BTreeMap<String, Found>,
    /// Those that cannot: warnings.
    pub broken: Vec<Broken>,
}

impl Plugins {
    /// Looks where plugins lie: the user's folders in `ANYFLOW_PLUGINS`, and the shipped ones, which are the
    /// distribution's folder, or else those beside this program.
    ///
    /// # Errors
    /// [`CatalogError::Twice`]; a list of allowed plugins that cannot be used.
    pub fn discover() -> Result<Plugins, CatalogError> {
        let list = std::env::var_os("ANYFLOW_PLUGINS").unwrap_or_default();
        let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_path_buf())).unwrap_or_default();
        let distribution = beside.join("../plugins");
        let shipped = if distribution.is_dir() { distribution } else { beside.clone() };
        let mut plugins = Plugins::in_folders(allow::hashes()?, std::env::split_paths(&list).chain([shipped]))?;
        // The folder beside the program may be cargo's, where libraries that are no plugins lie too.
        let beside = beside.canonicalize().unwrap_or(beside);
        plugins.broken.retain(|b| b.reason != ReadError::NoSection.to_string() || !b.path.starts_with(&beside));
        Ok(plugins)
    }

    /// Reads the libraries in the given folders; a file stands for itself. Files whose hashes are not among `allowed`
    /// are refused.
    ///
    /// # Errors
    /// [`CatalogError::Twice`].
    pub fn in_folders(
        allowed: Option<BTreeSet<String>>,
        folders: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Plugins, CatalogError> {
        let mut plugins = Plugins { allowed, ..Plugins::default() };
        let mut seen: Vec<PathBuf> = Vec::new();
        for folder in folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()) {
            match libraries(&folder) {
                Ok(files) => {
                    for file in files.into_iter().filter_map(|file| file.canonicalize().ok()) {
                        if !seen.contains(&file) {
                            plugins.add(&file)?;
                            seen.push(file);
                        }
                    }
                }
                Err(error) => plugins.broken.push(Broken { path: folder, reason: error.to_string() }),
            }
        }
        Ok(plugins)
    }

    /// What the planner sees.
    pub fn catalog(&self) -> Catalog {
        let entry = |(name, found): (&String, &Found)| {
            (name.clone(), (found.descriptor.clone(), found.path.display().to_string()))
        };
        Catalog { plugins: self.found.iter().map(entry).collect() }
    }

    /// Refuses a plugin that a plan needs and that cannot be loaded.
    ///
    /// # Errors
    /// [`CatalogError::Refused`].
    pub fn ensure_usable(&self, name: &str) -> Result<(), CatalogError> {
        match self.found.get(name) {
            Some(Found { refusal: Some(refusal), path, .. }) => {
                Err(CatalogError::Refused { name: name.into(), path: path.clone(), refusal: refusal.clone() })
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, file: &Path) -> Result<(), CatalogError> {
        let described = paths::text(file).map_err(|error| error.to_string()).and_then(|_| described(file));
        let (descriptor, hash) = match described {
            Ok(described) => described,
            Err(reason) => {
                self.broken.push(Broken { path: file.to_path_buf(), reason });
                return Ok(());
            }
        };
        let name = descriptor.plugin.clone();
        if let Some(first) = self.found.get(&name) {
            let (first, second) = (first.path.clone(), file.to_path_buf());
            return Err(CatalogError::Twice { name, first, second });
        }
        let stranger = self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&hash));
        let not_allowed = stranger.then(|| Refusal::NotAllowed(hash.clone()));
        let refusal = not_allowed.or_else(|| refusal(descriptor.abi, descriptor.libtorch.as_deref()));
        self.found.insert(name, Found { descriptor, path: file.to_path_buf(), hash, refusal });
        Ok(())
    }
}

fn libraries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == std::env::consts::DLL_EXTENSION) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The descriptor of a library file, and its hash.
fn described(file: &Path) -> Result<(PluginDescriptor, String), String> {
    let library = std::fs::read(file).map_err(|error| error.to_string())?;
    let text = anyflow_abi::read::descriptor(&library).map_err(|error| error.to_string())?;
    Ok((descriptor_from_json(text)?, allow::hash(&library)))
}

/// The part of a descriptor that every ABI has.
#[derive(Deserialize)]
struct Foreign {
    plugin: String,
    abi: [u16; 2],
}

fn descriptor_from_json(text: &str) -> Result<PluginDescriptor, String> {
    serde_json::from_str(text).map_err(|error| match serde_json::from_str::<Foreign>(text) {
        // A later ABI may describe plugins in words that are not known here.
        Ok(Foreign { plugin, abi }) if refusal(abi, None).is_some() => {
            format!("plugin `{plugin}`: {}", Refusal::Abi(abi))
        }
        _ => format!("its descriptor is not understood ({error}); rebuild it with this release's SDK"),
    })
}

fn refusal(abi: [u16; 2], libtorch: Option<&str>) -> Option<Refusal> {
    if abi[0] != anyflow_abi::ABI_MAJOR {
        return Some(Refusal::Abi(abi));
    }
    libtorch.filter(|version| *version != libtorch::VERSION).map(|version| Refusal::Libtorch(version.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_refused_with_both_named() {
        let ours = [anyflow_abi::ABI_MAJOR, anyflow_abi::ABI_MINOR];
        assert_eq!(refusal(ours, Some(libtorch::VERSION)), None);
        assert_eq!(refusal(ours, None), None);
        let text = refusal([ours[0] + 1, 0], None).unwrap().to_string();
        assert!(text.contains(&format!("ABI {}.0, this Anyflow has ABI {}.", ours[0] + 1, ours[0])), "{text}");
        let text = refusal(ours, Some("2.10.0")).unwrap().to_string();
        assert!(text.contains("libtorch 2.10.0") && text.contains(libtorch::VERSION), "{text}");
    }

    #[test]
    fn a_descriptor_of_a_later_abi_names_the_abi_and_not_its_words() {
        let text = descriptor_from_json(r#"{"plugin":"p","abi":[99,0],"news":1}"#).unwrap_err();
        assert!(text.contains("`p`") && text.contains("ABI 99.0"), "{text}");
        let text = descriptor_from_json(r#"{"plugin":"p"}"#).unwrap_err();
        assert!(text.contains("not understood"), "{text}");
    }

    #[test]
    fn broken_files_and_folders_are_warnings() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("libx.{}", std::env::consts::DLL_EXTENSION));
        std::fs::write(&file, "no library").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        let absent = folder.path().join("absent");
        let plugins = Plugins::in_folders(None, [folder.path().to_path_buf(), absent.clone()]).unwrap();
        assert!(plugins.found.is_empty());
        let paths: Vec<_> = plugins.broken.iter().map(|broken| broken.path.clone()).collect();
        assert_eq!(paths, [file.canonicalize().unwrap(), absent]);
    }
}
