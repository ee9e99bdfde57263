//! Plugin libraries: checked from their descriptor, loaded once, never unloaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyflow_abi::array::ArrayInterface;
use anyflow_abi::codec::CodecInterface;
use anyflow_abi::torch::TorchInterface;
use anyflow_abi::{ABI_MAJOR, ABI_MINOR, Entry, Host, StrView, float, status};
use anyflow_plan::descriptor::PluginDescriptor;
use indexmap::IndexMap;
use libloading::os::unix::Library;

use super::entry::{entry, table};
use super::report::sentence_of;
use super::sealed::Sealed;
use super::watch::Watched;
use super::{allowed, needs};
use crate::{LIBTORCH, Result, RunError};

/// The plugins that this process has loaded, by their files. A file is read once: what it was then, it stays.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Plugin>>> = Mutex::new(BTreeMap::new());

/// A loaded plugin. Its tables are static: libraries stay for the life of the process.
pub struct Plugin {
    /// What it says of itself.
    pub descriptor: PluginDescriptor,
    /// What its library exports.
    pub entry: &'static Entry,
    /// The blake3 hash, hexadecimal, of the bytes that are mapped.
    pub blake3: String,
    /// The libraries in folders of its own that were loaded with it, by name, with their hashes.
    pub needed: IndexMap<String, String>,
    /// Whether loading and starting it left the thread's floating-point environment as it was.
    pub keeps_floats: bool,
    pub(super) codecs: Option<&'static CodecInterface>,
    pub(super) modules: Option<&'static TorchInterface>,
    pub(super) arrays: Option<&'static ArrayInterface>,
}

/// The plugins of a session, by library file.
#[derive(Default)]
pub struct Plugins {
    loaded: BTreeMap<String, Arc<Plugin>>,
}

impl Plugins {
    /// The plugin of a library file, loaded on first use.
    ///
    /// # Errors
    /// [`RunError::Library`] with both versions named when plugin and host do not fit.
    pub fn load(&mut self, path: &str) -> Result<Arc<Plugin>> {
        if let Some(plugin) = self.loaded.get(path) {
            return Ok(plugin.clone());
        }
        let mut all = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        let plugin = match all.get(Path::new(path)) {
            Some(plugin) => plugin.clone(),
            None => {
                let plugin = load(Path::new(path), &all);
                float::reset();
                plugin.map_err(|text| RunError::Library { path: path.into(), text })?
            }
        };
        all.insert(path.into(), plugin.clone());
        self.loaded.insert(path.into(), plugin.clone());
        Ok(plugin)
    }

    /// Name of each plugin, and the hash of its library as it is mapped; `plugin/library.so` for a library that was loaded
    /// with it.
    pub fn hashes(&self) -> IndexMap<String, String> {
        let mut hashes = IndexMap::new();
        for Plugin { descriptor, blake3, needed, .. } in self.loaded.values().map(AsRef::as_ref) {
            let name = &descriptor.plugin;
            hashes.insert(name.clone(), blake3.clone());
            hashes.extend(needed.iter().map(|(library, hash)| (format!("{name}/{library}"), hash.clone())));
        }
        hashes.sort_keys();
        hashes
    }
}

/// Refuses what cannot work before any of the plugin's code runs, then loads it and compares. The same bytes at another
/// path are the same plugin.
fn load(path: &Path, others: &BTreeMap<PathBuf, Arc<Plugin>>) -> Result<Arc<Plugin>, String> {
    let file = Sealed::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    let blake3 = file.blake3();
    allowed::check(&blake3)?;
    if let Some(same) = others.values().find(|plugin| plugin.blake3 == blake3) {
        return Ok(same.clone());
    }
    let section = anyflow_abi::read::descriptor(file.bytes()).map_err(|e| e.to_string())?.to_string();
    let descriptor: PluginDescriptor = serde_json::from_str(&section)
        .map_err(|e| format!("its descriptor is not understood ({e}); rebuild it with the SDK of Anyflow"))?;
    check_versions(&descriptor)?;
    let name = format!("{} {}", descriptor.plugin, descriptor.version);
    let mut needed = IndexMap::new();
    let watched = Watched::begin(&descriptor.plugin, &descriptor.version, "load");
    let library = open(path, file, &mut needed).map_err(|cause| {
        format!("{name} cannot be loaded: {cause}; this host has {}; rebuild it for this system", versions())
    })?;
    // SAFETY: the library is forgotten, and so never unloaded.
    let entry = unsafe { entry(&library, &name)? };
    std::mem::forget(library);
    drop(watched);
    crate::process::note_code(&descriptor.plugin, std::ptr::from_ref(entry).cast());
    // SAFETY: the descriptor of the entry is static text.
    let told = unsafe { entry.descriptor.bytes() };
    if told.map_err(|why| format!("the descriptor in the code of {name} {why}; {}", rebuild()))? != section.as_bytes() {
        return Err(format!(
            "the code of {name} tells otherwise than the descriptor section of its file; {} from clean sources",
            rebuild()
        ));
    }
    let plugin = start(entry, descriptor, blake3)?;
    Ok(Arc::new(Plugin { needed, ..plugin }))
}

/// Maps a library, after those in folders of its own that it needs, which are added to `needed`; with a list, all of them
/// must be on it.
fn open(path: &Path, file: Sealed, needed: &mut IndexMap<String, String>) -> Result<Library, String> {
    let needs = anyflow_abi::read::needs(file.bytes()).map_err(|e| e.to_string())?;
    for (name, path) in needs::files(path, &needs)? {
        // Two that need each other cannot be loaded one by one: the loader says so.
        if !needed.contains_key(&name) {
            let library = open_needed(&name, &path, needed);
            std::mem::forget(library.map_err(|why| format!("it needs {}, which {why}", path.display()))?);
        }
    }
    // SAFETY: running the library's constructors is what loading a plugin means; the user chose it.
    unsafe { file.load() }
}

/// Maps a library that another needs by `name`.
fn open_needed(name: &str, path: &Path, needed: &mut IndexMap<String, String>) -> Result<Library, String> {
    let file = Sealed::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    let hash = file.blake3();
    allowed::check(&hash)?;
    let own = anyflow_abi::read::needs(file.bytes()).map_err(|e| e.to_string())?.name;
    if own.as_deref() != Some(name) {
        return Err(format!("is not called so inside; link it with -Wl,-soname,{name}"));
    }
    needed.insert(name.into(), hash);
    open(path, file, needed)
}

/// What every refusal of a plugin that does not fit ends with.
pub(super) fn rebuild() -> String {
    format!("this host has {}; rebuild the plugin with this release's SDK", versions())
}

fn versions() -> String {
    format!("ABI {ABI_MAJOR}.{ABI_MINOR} and libtorch {LIBTORCH}")
}

fn check_versions(descriptor: &PluginDescriptor) -> Result<(), String> {
    let PluginDescriptor { plugin, version, abi: [major, minor], libtorch, .. } = descriptor;
    if *major != ABI_MAJOR {
        return Err(format!(
            "{plugin} {version} is built for ABI {major}.{minor}, this host has {ABI_MAJOR}.{ABI_MINOR}; rebuild the \
             plugin with this release's SDK, or use a release of Anyflow with ABI {major}"
        ));
    }
    match libtorch {
        Some(theirs) if theirs != LIBTORCH => Err(format!(
            "{plugin} {version} is built for libtorch {theirs}, this host uses {LIBTORCH}; rebuild the plugin for \
             {LIBTORCH}"
        )),
        _ => Ok(()),
    }
}

fn start(entry: &'static Entry, descriptor: PluginDescriptor, blake3: String) -> Result<Plugin, String> {
    let name = format!("{} {}", descriptor.plugin, descriptor.version);
    if let Some(init) = entry.init {
        let watched = Watched::begin(&descriptor.plugin, &descriptor.version, "init");
        // SAFETY: the host table is static.
        let code = unsafe { init(&HOST) };
        drop(watched);
        if code != status::OK {
            return Err(format!("{name} refused to start, with status {code}; its log may say why"));
        }
    }
    let keeps_floats = float::is_kept();
    let interface = entry.interface.ok_or_else(|| format!("{name} offers no interfaces; {}", rebuild()))?;
    let watched = Watched::begin(&descriptor.plugin, &descriptor.version, "interface");
    // SAFETY: the id is readable during the call; a table is static and of the type its id names.
    let (codecs, modules, arrays) = unsafe {
        let offered = |id: &str| interface(StrView::new(id.as_bytes()));
        (
            table::<CodecInterface>(offered(anyflow_abi::codec::ID), anyflow_abi::codec::ID, &name)?,
            table::<TorchInterface>(offered(anyflow_abi::torch::ID), anyflow_abi::torch::ID, &name)?,
            table::<ArrayInterface>(offered(anyflow_abi::array::ID), anyflow_abi::array::ID, &name)?,
        )
    };
    drop(watched);
    if let Some(modules) = modules {
        // SAFETY: the version is static text.
        let theirs = unsafe { sentence_of(modules.libtorch) };
        if theirs != LIBTORCH {
            return Err(format!("the code of {name} is built for libtorch {theirs}; {}", rebuild()));
        }
    }
    Ok(Plugin { descriptor, entry, blake3, needed: IndexMap::new(), keeps_floats, codecs, modules, arrays })
}

static HOST: Host = Host { struct_size: size_of::<Host>() as u32, abi_minor: ABI_MINOR as u32, log: Some(log) };

unsafe extern "C" fn log(level: u32, text: StrView) {
    // SAFETY: the text is readable until we return.
    let text = unsafe { sentence_of(text) };
    match level {
        1 => tracing::error!(target: "plugin", "{text}"),
        2 => tracing::warn!(target: "plugin", "{text}"),
        3 => tracing::info!(target: "plugin", "{text}"),
        _ => tracing::debug!(target: "plugin", "{text}"),
    }
}
