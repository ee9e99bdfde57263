//! Finds installed plugins by their descriptor sections, without loading them.

mod error;
mod needs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyflow_abi::read::ReadError;
use anyflow_plan::Catalog;
use anyflow_plan::descriptor::PluginDescriptor;
use serde::Deserialize;

use crate::{allow, exposure, generators, libtorch, paths, regular};

pub use error::{CatalogError, PluginRefusal};

/// A plugin file with a readable descriptor.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its descriptor.
    pub descriptor: PluginDescriptor,
    /// Its file, absolute.
    pub path: PathBuf,
    /// BLAKE3 of the file, in hexadecimal.
    pub hash: String,
    /// Names of the libraries that it links to, without the system's.
    pub needs: Vec<String>,
    /// Why it cannot be loaded, if it cannot.
    pub refusal: Option<PluginRefusal>,
}

/// A file that should be a plugin but is not.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

/// All plugins, by name.
#[derive(Clone, Debug, Default)]
pub struct InstalledPlugins {
    /// Hashes of the files that may be loaded, if there is an allow list.
    allowed: Option<BTreeSet<String>>,
    /// Plugins with a readable descriptor.
    pub found: BTreeMap<String, Found>,
    /// Files without one: shown as warnings.
    pub broken: Vec<Broken>,
    /// Warnings about folders.
    pub notes: Vec<String>,
    /// The folders and files that were searched.
    folders: Vec<PathBuf>,
}

impl InstalledPlugins {
    /// Searches the folders of `ANYFLOW_PLUGINS`, then the shipped plugins: the distribution's folder if it exists,
    /// else the folder of this program.
    ///
    /// # Errors
    /// [`CatalogError::Twice`]; an allow list that cannot be used.
    pub fn discover() -> Result<InstalledPlugins, CatalogError> {
        let list = std::env::var_os("ANYFLOW_PLUGINS").unwrap_or_default();
        let own_folder =
            std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_path_buf())).unwrap_or_default();
        let distribution = own_folder.join("../plugins");
        let shipped = if distribution.is_dir() { distribution } else { own_folder.clone() };
        let mut plugins =
            InstalledPlugins::in_folders(allow::hashes()?, std::env::split_paths(&list).chain([shipped]))?;
        // The folder of this program may be cargo's, which also holds libraries that are not plugins.
        let own_folder = own_folder.canonicalize().unwrap_or(own_folder);
        plugins.broken.retain(|b| b.reason != ReadError::NoSection.to_string() || !b.path.starts_with(&own_folder));
        Ok(plugins)
    }

    /// Reads the libraries in the given folders or files. Refuses files with hashes outside `allowed`.
    ///
    /// # Errors
    /// [`CatalogError::Twice`].
    pub fn in_folders(
        allowed: Option<BTreeSet<String>>,
        folders: impl IntoIterator<Item = PathBuf>,
    ) -> Result<InstalledPlugins, CatalogError> {
        let mut plugins = InstalledPlugins { allowed, ..InstalledPlugins::default() };
        let mut seen: Vec<PathBuf> = Vec::new();
        for folder in folders.into_iter().filter(|folder| !folder.as_os_str().is_empty()) {
            let files = match libraries(&folder) {
                Ok(files) => files,
                Err(error) => {
                    plugins.broken.push(Broken { path: folder.clone(), reason: error.to_string() });
                    plugins.folders.push(folder);
                    continue;
                }
            };
            for path in files {
                match path.canonicalize() {
                    Ok(file) if seen.contains(&file) => {}
                    Ok(file) => {
                        plugins.add(&file)?;
                        seen.push(file);
                    }
                    Err(error) => plugins.broken.push(Broken { path, reason: error.to_string() }),
                }
            }
            plugins.note_exposure(&folder);
            plugins.folders.push(folder);
        }
        Ok(plugins)
    }

    /// Notes a folder if others can write plugins into it.
    fn note_exposure(&mut self, folder: &Path) {
        let folder = if folder.is_file() { folder.parent().unwrap_or(folder) } else { folder };
        if let Some(why) = exposure::of(folder) {
            let folder = folder.display();
            self.notes
                .push(format!("plugin folder {folder} {why}; keep plugins in a folder that only you can write to"));
        }
    }

    /// The folders that were searched, and how to add others: for messages.
    pub fn searched(&self) -> String {
        let folders: Vec<String> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
        let folders = if folders.is_empty() { "no folder".into() } else { folders.join(", ") };
        format!("plugins were searched in {folders}; set ANYFLOW_PLUGINS to the folders of others")
    }

    /// The descriptors of plugins and generators, as the planner takes them.
    pub fn catalog(&self) -> Catalog {
        let entry = |(name, found): (&String, &Found)| {
            (name.clone(), (found.descriptor.clone(), found.path.display().to_string()))
        };
        Catalog { plugins: self.found.iter().map(entry).collect(), generators: generators::descriptors() }
    }

    /// Refuses a plugin that a plan needs if it cannot be loaded.
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
        let Described { descriptor, hash, needs, broken } = match described {
            Ok(described) => described,
            Err(reason) => {
                self.broken.push(Broken { path: file.to_path_buf(), reason });
                return Ok(());
            }
        };
        let name = descriptor.plugin.clone();
        if let Some(first) = self.found.get(&name) {
            return Err(CatalogError::Twice { name, first: first.path.clone(), second: file.to_path_buf() });
        }
        let stranger = self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&hash));
        let not_allowed = stranger.then(|| PluginRefusal::NotAllowed(hash.clone()));
        let exposed = || exposed(file, self.allowed.is_some());
        let refusal =
            not_allowed.or_else(exposed).or_else(|| refusal(descriptor.abi, descriptor.libtorch.as_deref())).or(broken);
        self.found.insert(name, Found { descriptor, path: file.to_path_buf(), hash, needs, refusal });
        Ok(())
    }
}

/// Why others could replace a file, if they can. Without a list of allowed plugins, only folders that all users can write to are
/// refused: a user who names the folder of another user or a group, such as a team's installation, trusts it.
fn exposed(file: &Path, is_listed: bool) -> Option<PluginRefusal> {
    let folder = file.parent().filter(|folder| is_listed || exposure::is_open_to_all(folder))?;
    let why = exposure::of(folder).filter(|_| !exposure::is_held(folder, file))?;
    Some(PluginRefusal::Exposed { folder: folder.into(), why })
}

/// The files in a folder with the ending of a library, including broken links: reading them reports what is wrong.
fn libraries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == std::env::consts::DLL_EXTENSION) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What a library file says about itself.
struct Described {
    descriptor: PluginDescriptor,
    hash: String,
    needs: Vec<String>,
    broken: Option<PluginRefusal>,
}

fn described(file: &Path) -> Result<Described, String> {
    let library = regular::read(file).map_err(|error| error.to_string())?;
    let text = anyflow_abi::read::descriptor(&library).map_err(|error| error.to_string())?;
    let needs = anyflow_abi::read::needs(&library).map_err(|error| error.to_string())?;
    let machine = anyflow_abi::read::other_machine(&library).map_err(|error| error.to_string())?;
    let missing = || needs::missing(file, &needs).map(PluginRefusal::Missing);
    let broken = machine.map(PluginRefusal::Machine).or_else(missing);
    let descriptor = descriptor_from_json(text)?;
    Ok(Described { descriptor, hash: allow::hash(&library), needs: needs.libraries, broken })
}

/// The fields that descriptors of every ABI have.
#[derive(Deserialize)]
struct Foreign {
    plugin: String,
    abi: [u16; 2],
}

fn descriptor_from_json(text: &str) -> Result<PluginDescriptor, String> {
    serde_json::from_str(text).map_err(|error| match serde_json::from_str::<Foreign>(text) {
        // A later ABI may have fields that this one does not know.
        Ok(Foreign { plugin, abi }) if refusal(abi, None).is_some() => {
            format!("plugin `{plugin}`: {}", PluginRefusal::Abi(abi))
        }
        _ => format!("its descriptor cannot be read ({error}); rebuild it with this release's SDK"),
    })
}

fn refusal(abi: [u16; 2], libtorch: Option<&str>) -> Option<PluginRefusal> {
    if abi[0] != anyflow_abi::ABI_MAJOR {
        return Some(PluginRefusal::Abi(abi));
    }
    libtorch.filter(|version| *version != libtorch::VERSION).map(|version| PluginRefusal::Libtorch(version.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_abi_or_libtorch_is_refused_with_both_versions() {
        let ours = [anyflow_abi::ABI_MAJOR, anyflow_abi::ABI_MINOR];
        assert_eq!(refusal(ours, Some(libtorch::VERSION)), None);
        assert_eq!(refusal(ours, None), None);
        let text = refusal([ours[0] + 1, 0], None).unwrap().to_string();
        assert!(text.contains(&format!("ABI {}.0, this Anyflow has ABI {}.", ours[0] + 1, ours[0])), "{text}");
        let text = refusal(ours, Some("2.10.0")).unwrap().to_string();
        assert!(text.contains("libtorch 2.10.0") && text.contains(libtorch::VERSION), "{text}");
    }

    #[test]
    fn an_unreadable_descriptor_of_a_later_abi_names_the_abi() {
        let text = descriptor_from_json(r#"{"plugin":"p","abi":[99,0],"news":1}"#).unwrap_err();
        assert!(text.contains("`p`") && text.contains("ABI 99.0"), "{text}");
        let text = descriptor_from_json(r#"{"plugin":"p"}"#).unwrap_err();
        assert!(text.contains("cannot be read"), "{text}");
    }

    #[test]
    fn broken_files_and_folders_are_warnings() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("libx.{}", std::env::consts::DLL_EXTENSION));
        std::fs::write(&file, "no library").unwrap();
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        let link = folder.path().join(format!("liby.{}", std::env::consts::DLL_EXTENSION));
        std::os::unix::fs::symlink("/nowhere/lib.so", &link).unwrap();
        let absent = folder.path().join("absent");
        let plugins = InstalledPlugins::in_folders(None, [folder.path().to_path_buf(), absent.clone()]).unwrap();
        assert!(plugins.found.is_empty());
        let paths: Vec<_> = plugins.broken.iter().map(|broken| broken.path.clone()).collect();
        assert_eq!(paths, [file.canonicalize().unwrap(), link, absent.clone()]);
        let searched = plugins.searched();
        let folders = [folder.path(), &absent].map(|folder| folder.display().to_string());
        assert!(searched.contains(&folders.join(", ")) && searched.contains("ANYFLOW_PLUGINS"), "{searched}");
    }

    #[test]
    fn a_plugin_that_all_users_can_exchange_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("libx.so");
        std::fs::write(&file, "").unwrap();
        let notes = |mode| {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            let plugins = InstalledPlugins::in_folders(None, [folder.path().to_path_buf()]).unwrap();
            (plugins.notes.len(), [true, false].map(|is_listed| exposed(&file, is_listed).is_some()))
        };
        let found = [0o755, 0o777, 0o1777].map(notes);
        assert_eq!(found, [(0, [false, false]), (1, [true, true]), (1, [false, false])]);
    }
}
