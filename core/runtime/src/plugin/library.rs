//! Plugin libraries: checked from their descriptor, loaded once, never unloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyflow_abi::array::ArrayInterface;
use anyflow_abi::codec::CodecInterface;
use anyflow_abi::torch::TorchInterface;
use anyflow_abi::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, Entry, Host, MAGIC, StrView, status};
use anyflow_plan::descriptor::PluginDescriptor;
use anyflow_plan::plan::Component;
use indexmap::IndexMap;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::watch::Watched;
use crate::{LIBTORCH, Result, RunError};

/// Hashes of the only library files that this process may load, if there is such a list.
static ALLOWED: OnceLock<BTreeSet<String>> = OnceLock::new();

/// From now on, this process loads no library file whose blake3 hash (hexadecimal) is not among these. The first call
/// holds.
pub fn allow_only(hashes: impl IntoIterator<Item = String>) {
    ALLOWED.get_or_init(|| hashes.into_iter().collect());
}

/// A loaded plugin. Its tables are static: libraries stay for the life of the process.
pub struct Plugin {
    /// What it says of itself.
    pub descriptor: PluginDescriptor,
    /// Hash of its library file, hexadecimal.
    pub blake3: String,
    /// What its library exports.
    pub entry: &'static Entry,
    pub(super) codecs: Option<&'static CodecInterface>,
    pub(super) modules: Option<&'static TorchInterface>,
    pub(super) arrays: Option<&'static ArrayInterface>,
}

/// What an instance is an instance of.
pub(super) struct Instance {
    pub plugin: Arc<Plugin>,
    /// `plugin/component`.
    pub component: String,
}

impl Instance {
    /// An instance of a component of a loaded plugin.
    pub fn of(plugin: Arc<Plugin>, component: &Component) -> Self {
        Instance { plugin, component: format!("{}/{}", component.plugin, component.id) }
    }

    /// An error of a call, which names everything.
    pub fn error(&self, call: &str, text: &str) -> RunError {
        RunError::Plugin {
            component: self.component.clone(),
            version: self.plugin.descriptor.version.clone(),
            call: call.into(),
            text: text.into(),
        }
    }

    /// The error of a call that the plugin's table has no function for.
    pub fn missing(&self, call: &str) -> RunError {
        self.error(call, "is missing in its table; the plugin's author must add it")
    }

    /// Lets the watch know of a call until the value is dropped.
    pub fn watched(&self, call: &str) -> Watched {
        Watched::begin(&self.component, &self.plugin.descriptor.version, call)
    }

    /// The same, in a thread that was not told which node it works for.
    pub fn watched_in(&self, node: Option<&str>, call: &str) -> Watched {
        Watched::begin_in(node, &self.component, &self.plugin.descriptor.version, call)
    }
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
        let plugin = load(Path::new(path)).map_err(|text| RunError::Library { path: path.into(), text })?;
        let plugin = Arc::new(plugin);
        self.loaded.insert(path.into(), plugin.clone());
        Ok(plugin)
    }

    /// Hashes of the library files, by the plugins' names.
    pub fn hashes(&self) -> IndexMap<String, String> {
        let mut hashes: IndexMap<_, _> =
            self.loaded.values().map(|plugin| (plugin.descriptor.plugin.clone(), plugin.blake3.clone())).collect();
        hashes.sort_keys();
        hashes
    }
}

/// Refuses what cannot work before any of the plugin's code runs, then loads it and compares.
fn load(path: &Path) -> Result<Plugin, String> {
    let file = std::fs::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    check_allowed(&file)?;
    let section = anyflow_abi::read::descriptor(&file).map_err(|e| e.to_string())?;
    let descriptor: PluginDescriptor = serde_json::from_str(section)
        .map_err(|e| format!("its descriptor is not understood ({e}); rebuild it with the SDK of Anyflow"))?;
    check_versions(&descriptor)?;
    let name = format!("{} {}", descriptor.plugin, descriptor.version);
    let watched = Watched::begin(&descriptor.plugin, &descriptor.version, "load");
    // SAFETY: running the library's constructors is what loading a plugin means; the user chose it.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|e| {
        // The error itself does not say which symbol or library is missing; what it stems from does.
        let cause = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
        format!("{name} cannot be loaded: {cause}; this host has {}; rebuild it for this system", versions())
    })?;
    // SAFETY: the symbol is looked up as a pointer to `Entry`; its magic is checked before anything else is read.
    let entry: *const Entry = unsafe { library.get::<*const Entry>(ENTRY_SYMBOL.as_bytes()) }
        .map(|symbol| *symbol)
        .map_err(|_| format!("{name} has a descriptor but no symbol `{ENTRY_SYMBOL}`; {}", rebuild()))?;
    std::mem::forget(library);
    drop(watched);
    crate::process::note_code(&descriptor.plugin, entry.cast());
    // SAFETY: the entry is a static of a library that is never unloaded.
    let entry: &'static Entry = unsafe { &*entry };
    if entry.magic != MAGIC {
        return Err(format!(
            "`{ENTRY_SYMBOL}` of {name} does not begin with Anyflow's magic number, so it is no plugin entry; {}",
            rebuild()
        ));
    }
    if entry.abi_major != ABI_MAJOR {
        let (theirs, minor) = (entry.abi_major, entry.abi_minor);
        return Err(format!("the code of {name} has ABI {theirs}.{minor}; {}", rebuild()));
    }
    if (entry.struct_size as usize) < size_of::<Entry>() {
        return Err(format!("the entry of {name} is cut short, {} bytes; {}", entry.struct_size, rebuild()));
    }
    // SAFETY: the descriptor of the entry is static text.
    if unsafe { entry.descriptor.bytes() } != section.as_bytes() {
        return Err(format!(
            "the code of {name} tells otherwise than the descriptor section of its file; {} from clean sources",
            rebuild()
        ));
    }
    start(entry, descriptor, blake3::hash(&file).to_hex().to_string())
}

/// Refuses a file that is not on the list, where there is one.
fn check_allowed(file: &[u8]) -> Result<(), String> {
    let Some(allowed) = ALLOWED.get() else { return Ok(()) };
    let hash = blake3::hash(file).to_hex();
    if allowed.contains(hash.as_str()) {
        return Ok(());
    }
    Err(format!("is not on the list of allowed plugins; if you trust it, add its blake3 hash to the list: {hash}"))
}

/// What every refusal of a plugin that does not fit ends with.
fn rebuild() -> String {
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
    let interface = entry.interface.ok_or_else(|| format!("{name} offers no interfaces; {}", rebuild()))?;
    let watched = Watched::begin(&descriptor.plugin, &descriptor.version, "interface");
    // SAFETY: the id is readable during the call; a table is static and of the type its id names.
    let (codecs, modules, arrays) = unsafe {
        let table = |id: &str| interface(StrView::new(id.as_bytes()));
        (
            whole::<CodecInterface>(table(anyflow_abi::codec::ID), anyflow_abi::codec::ID, &name)?,
            whole::<TorchInterface>(table(anyflow_abi::torch::ID), anyflow_abi::torch::ID, &name)?,
            whole::<ArrayInterface>(table(anyflow_abi::array::ID), anyflow_abi::array::ID, &name)?,
        )
    };
    drop(watched);
    if let Some(modules) = modules {
        // SAFETY: the version is static text.
        let theirs = String::from_utf8_lossy(unsafe { modules.libtorch.bytes() });
        if theirs != LIBTORCH {
            return Err(format!("the code of {name} is built for libtorch {theirs}; {}", rebuild()));
        }
    }
    Ok(Plugin { descriptor, blake3, entry, codecs, modules, arrays })
}

/// A table of an interface, none if null. No table has grown since it was first released, so one that is smaller than
/// ours is broken; a larger one is that of a later minor.
///
/// # Safety
/// `table` is null, or points at the static table of a plugin, which begins with its size.
unsafe fn whole<T>(table: *const std::ffi::c_void, id: &str, name: &str) -> Result<Option<&'static T>, String> {
    if table.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller promises that the table begins with its size, and has as many bytes.
    let size = unsafe { table.cast::<u32>().read() };
    if (size as usize) < size_of::<T>() {
        return Err(format!("the table of {id} of {name} is cut short, {size} bytes; {}", rebuild()));
    }
    // SAFETY: as above.
    Ok(unsafe { table.cast::<T>().as_ref() })
}

static HOST: Host = Host { struct_size: size_of::<Host>() as u32, abi_minor: ABI_MINOR as u32, log: Some(log) };

unsafe extern "C" fn log(level: u32, text: StrView) {
    // SAFETY: the text is readable until we return.
    let text = String::from_utf8_lossy(unsafe { text.bytes() });
    match level {
        1 => tracing::error!(target: "plugin", "{text}"),
        2 => tracing::warn!(target: "plugin", "{text}"),
        3 => tracing::info!(target: "plugin", "{text}"),
        _ => tracing::debug!(target: "plugin", "{text}"),
    }
}
