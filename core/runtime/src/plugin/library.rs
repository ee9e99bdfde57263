//! Plugin libraries: checked from their descriptor, loaded once, never unloaded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyflow_abi::codec::CodecInterface;
use anyflow_abi::torch::TorchInterface;
use anyflow_abi::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, Entry, Host, MAGIC, StrView, status};
use anyflow_plan::descriptor::PluginDescriptor;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use crate::{LIBTORCH, Result, RunError};

/// A loaded plugin. Its tables are static: libraries stay for the life of the process.
pub struct Plugin {
    /// What it says of itself.
    pub descriptor: PluginDescriptor,
    /// What its library exports.
    pub entry: &'static Entry,
    pub(super) codecs: Option<&'static CodecInterface>,
    pub(super) modules: Option<&'static TorchInterface>,
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
}

/// Refuses what cannot work before any of the plugin's code runs, then loads it and compares.
fn load(path: &Path) -> Result<Plugin, String> {
    let file = std::fs::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    let section = anyflow_abi::read::descriptor(&file).map_err(|e| e.to_string())?;
    let descriptor: PluginDescriptor = serde_json::from_str(section)
        .map_err(|e| format!("its descriptor is not understood ({e}); rebuild it with the SDK of Anyflow"))?;
    check_versions(&descriptor)?;
    // SAFETY: running the library's constructors is what loading a plugin means; the user chose it.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|e| {
        let name = format!("{} {}", descriptor.plugin, descriptor.version);
        format!("{name} cannot be loaded: {e}; rebuild it for this system and libtorch {LIBTORCH}")
    })?;
    // SAFETY: the symbol is looked up as a pointer to `Entry`; its magic is checked before anything else is read.
    let entry: *const Entry = unsafe { library.get::<*const Entry>(ENTRY_SYMBOL.as_bytes()) }
        .map(|symbol| *symbol)
        .map_err(|_| format!("it has a descriptor but no symbol `{ENTRY_SYMBOL}`; rebuild it with the SDK"))?;
    std::mem::forget(library);
    // SAFETY: the entry is a static of a library that is never unloaded.
    let entry: &'static Entry = unsafe { &*entry };
    if entry.magic != MAGIC {
        return Err(format!("`{ENTRY_SYMBOL}` does not begin with Anyflow's magic number; it is no plugin entry"));
    }
    if entry.abi_major != ABI_MAJOR {
        let (theirs, minor) = (entry.abi_major, entry.abi_minor);
        return Err(format!("its code has ABI {theirs}.{minor}, this host {ABI_MAJOR}.{ABI_MINOR}; rebuild it"));
    }
    // SAFETY: the descriptor of the entry is static text.
    if unsafe { entry.descriptor.bytes() } != section.as_bytes() {
        return Err("its code tells otherwise than its descriptor section; rebuild it from clean sources".into());
    }
    start(entry, descriptor)
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

fn start(entry: &'static Entry, descriptor: PluginDescriptor) -> Result<Plugin, String> {
    let name = format!("{} {}", descriptor.plugin, descriptor.version);
    if let Some(init) = entry.init {
        // SAFETY: the host table is static.
        let code = unsafe { init(&HOST) };
        if code != status::OK {
            return Err(format!("{name} refused to start, with status {code}"));
        }
    }
    let interface = entry.interface.ok_or_else(|| format!("{name} offers no interfaces"))?;
    // SAFETY: the id is readable during the call; a table of an interface is static and of the type its id names.
    let (codecs, modules) = unsafe {
        let codecs = interface(StrView::new(anyflow_abi::codec::ID.as_bytes())).cast::<CodecInterface>();
        let modules = interface(StrView::new(anyflow_abi::torch::ID.as_bytes())).cast::<TorchInterface>();
        (codecs.as_ref(), modules.as_ref())
    };
    if let Some(modules) = modules {
        // SAFETY: the version is static text.
        let theirs = String::from_utf8_lossy(unsafe { modules.libtorch.bytes() });
        if theirs != LIBTORCH {
            return Err(format!("the code of {name} is built for libtorch {theirs}, this host uses {LIBTORCH}"));
        }
    }
    Ok(Plugin { descriptor, entry, codecs, modules })
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
