//! Plugin libraries. Their descriptors are checked before any code runs. A library is loaded once and never unloaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyflow_abi::array::ArrayInterface;
use anyflow_abi::codec::CodecInterface;
use anyflow_abi::dry::DryInterface;
use anyflow_abi::torch::TorchInterface;
use anyflow_abi::{ABI_MINOR, Entry, Host, StrView, float, status};
use anyflow_plan::descriptor::PluginDescriptor;
use anyflow_plan::plan::{Component, FILES};
use indexmap::IndexMap;
use libloading::os::unix::Library;
use serde_json::Value;

use super::entry::{entry, table};
use super::files::{TextFiles, files_of};
use super::report::sentence_of;
use super::sealed::Sealed;
use super::versions::{self, rebuild};
use super::watch::Watched;
use super::{allowed, needs};
use crate::{LIBTORCH, Result, RunError};

/// The first ABI with modules without memory. What an older plugin answers for this interface means nothing.
const DRY_SINCE: [u16; 2] = [1, 6];

/// The loaded plugins of this process, by file. A file is read only once, so later changes of it have no effect.
static LOADED: Mutex<BTreeMap<PathBuf, Arc<Plugin>>> = Mutex::new(BTreeMap::new());

/// A loaded plugin. Its tables are static, because libraries are never unloaded.
pub struct Plugin {
    /// Its descriptor.
    pub descriptor: PluginDescriptor,
    /// The entry of its library.
    pub entry: &'static Entry,
    /// The blake3 hash (hexadecimal) of the mapped bytes.
    pub blake3: String,
    /// The hashes of the libraries that were loaded with it from its run path, by name.
    pub needed: IndexMap<String, String>,
    /// True if loading and starting it did not change the thread's floating-point settings.
    pub keeps_floats: bool,
    pub(super) codecs: Option<&'static CodecInterface>,
    pub(super) modules: Option<&'static TorchInterface>,
    /// Modules without memory, since ABI 1.6.
    pub(super) dry: Option<&'static DryInterface>,
    pub(super) arrays: Option<&'static ArrayInterface>,
}

/// The plugins of a session, by library file.
#[derive(Default)]
pub struct LoadedPlugins {
    loaded: BTreeMap<String, Arc<Plugin>>,
    /// Hashes of the files that components were given, by `plugin/component`.
    files: BTreeMap<String, BTreeSet<String>>,
}

impl LoadedPlugins {
    /// Returns the plugin of a library file, and loads it on first use.
    ///
    /// # Errors
    /// [`RunError::Library`], with both versions if plugin and host do not fit.
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

    /// The component as its plugin gets it: with the texts of the files whose path the plan has.
    ///
    /// # Errors
    /// The files cannot be read as text.
    pub fn with_files(&mut self, component: &Component) -> Result<Component> {
        let mut component = component.clone();
        if let Some(path) = component.parameters.get(FILES).and_then(Value::as_str).map(PathBuf::from) {
            let TextFiles { texts, blake3 } = TextFiles::read(&path)?;
            component.parameters[FILES] = texts.into();
            self.files.entry(format!("{}/{}", component.plugin, component.id)).or_default().insert(blake3);
        }
        Ok(component)
    }

    /// The hash of each plugin's mapped library, by the plugin's name. A library that was loaded with it has the name
    /// `plugin/library.so`, and files of a component have the name `plugin/component files`.
    pub fn hashes(&self) -> IndexMap<String, String> {
        let mut hashes = IndexMap::new();
        for Plugin { descriptor, blake3, needed, .. } in self.loaded.values().map(AsRef::as_ref) {
            let name = &descriptor.plugin;
            hashes.insert(name.clone(), blake3.clone());
            hashes.extend(needed.iter().map(|(library, hash)| (format!("{name}/{library}"), hash.clone())));
        }
        for (component, files) in &self.files {
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            hashes.insert(files_of(component), files.join(" "));
        }
        hashes.sort_keys();
        hashes
    }
}

/// Checks a plugin's file before any of its code runs, then loads it and compares the two descriptors. The same bytes at
/// another path are the same plugin.
fn load(path: &Path, others: &BTreeMap<PathBuf, Arc<Plugin>>) -> Result<Arc<Plugin>, String> {
    let file = Sealed::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    let blake3 = file.blake3();
    allowed::check(&blake3)?;
    if let Some(same) = others.values().find(|plugin| plugin.blake3 == blake3) {
        return Ok(same.clone());
    }
    let section = anyflow_abi::read::descriptor(file.bytes()).map_err(|e| e.to_string())?.to_string();
    let descriptor: PluginDescriptor = serde_json::from_str(&section)
        .map_err(|e| format!("its descriptor cannot be parsed ({e}); rebuild it with the SDK of this release"))?;
    versions::check(&descriptor)?;
    let name = format!("{} {}", descriptor.plugin, descriptor.version);
    if let Some(machine) = anyflow_abi::read::other_machine(file.bytes()).map_err(|e| e.to_string())? {
        return Err(format!("{name} is made for {machine}; get it for {}, or rebuild it here", std::env::consts::ARCH));
    }
    let mut needed = IndexMap::new();
    let watched = Watched::begin(&descriptor.plugin, &descriptor.version, "load");
    let library = open(path, file, &mut needed)
        .map_err(|cause| format!("{name} cannot be loaded: {cause}; {}", remedy(&cause)))?;
    // SAFETY: the library is forgotten below, so it is never unloaded.
    let entry = unsafe { entry(&library, &name)? };
    std::mem::forget(library);
    drop(watched);
    crate::process::note_code(&descriptor.plugin, std::ptr::from_ref(entry).cast());
    // SAFETY: the descriptor of the entry is static text.
    let in_code = unsafe { entry.descriptor.bytes() };
    let in_code = in_code.map_err(|why| format!("the descriptor in the code of {name} {why}; {}", rebuild()))?;
    if in_code != section.as_bytes() {
        return Err(format!(
            "{name}: the descriptor in the code differs from the one in the file; {} from clean sources",
            rebuild()
        ));
    }
    let plugin = start(entry, descriptor, blake3)?;
    Ok(Arc::new(Plugin { needed, ..plugin }))
}

/// What to do about the words of the system's loader.
fn remedy(cause: &str) -> String {
    if cause.contains("cannot open shared object file") {
        return "install this library, or add its folder to LD_LIBRARY_PATH".into();
    }
    format!("this host has {}; rebuild it for this system", versions::host())
}

/// Maps a library after the libraries that it needs from its run path, and adds those to `needed`. All of them must be
/// allowed.
fn open(path: &Path, file: Sealed, needed: &mut IndexMap<String, String>) -> Result<Library, String> {
    let needs = anyflow_abi::read::needs(file.bytes()).map_err(|e| e.to_string())?;
    for (name, path) in needs::files(path, &needs)? {
        // Two libraries that need each other cannot be loaded one by one; the loader reports that.
        if !needed.contains_key(&name) {
            let library = open_needed(&name, &path, needed);
            std::mem::forget(library.map_err(|why| format!("it needs {}, which {why}", path.display()))?);
        }
    }
    // SAFETY: loading runs the library's constructors; the user chose the plugin.
    unsafe { file.load() }
}

/// Maps a library that another one needs by this name.
fn open_needed(name: &str, path: &Path, needed: &mut IndexMap<String, String>) -> Result<Library, String> {
    let file = Sealed::read(path).map_err(|e| format!("cannot be read: {e}"))?;
    let hash = file.blake3();
    allowed::check(&hash)?;
    let own = anyflow_abi::read::needs(file.bytes()).map_err(|e| e.to_string())?.name;
    if own.as_deref() != Some(name) {
        return Err(format!("has another soname; link it with -Wl,-soname,{name}"));
    }
    needed.insert(name.into(), hash);
    open(path, file, needed)
}

fn start(entry: &'static Entry, descriptor: PluginDescriptor, blake3: String) -> Result<Plugin, String> {
    let name = format!("{} {}", descriptor.plugin, descriptor.version);
    if let Some(init) = entry.init {
        let watched = Watched::begin(&descriptor.plugin, &descriptor.version, "init");
        // SAFETY: the host table is static.
        let code = unsafe { init(&HOST) };
        drop(watched);
        if code != status::OK {
            return Err(format!("{name} refused to start with status {code}; see its log for the reason"));
        }
    }
    let keeps_floats = float::is_kept();
    let interface = entry.interface.ok_or_else(|| format!("{name} has no interfaces; {}", rebuild()))?;
    let watched = Watched::begin(&descriptor.plugin, &descriptor.version, "interface");
    // SAFETY: the id is readable during the call; a table is static and has the type of its id.
    let (codecs, modules, dry, arrays) = unsafe {
        let offered = |id: &str| interface(StrView::new(id.as_bytes()));
        (
            table::<CodecInterface>(offered(anyflow_abi::codec::ID), anyflow_abi::codec::ID, &name)?,
            table::<TorchInterface>(offered(anyflow_abi::torch::ID), anyflow_abi::torch::ID, &name)?,
            table::<DryInterface>(offered(anyflow_abi::dry::ID), anyflow_abi::dry::ID, &name)?,
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
    let dry = dry.filter(|_| descriptor.abi >= DRY_SINCE);
    Ok(Plugin { descriptor, entry, blake3, needed: IndexMap::new(), keeps_floats, codecs, modules, dry, arrays })
}

static HOST: Host = Host { struct_size: size_of::<Host>() as u32, abi_minor: ABI_MINOR as u32, log: Some(log) };

unsafe extern "C" fn log(level: u32, text: StrView) {
    // SAFETY: the text is readable until this function returns.
    let text = unsafe { sentence_of(text) };
    match level {
        1 => tracing::error!(target: "plugin", "{text}"),
        2 => tracing::warn!(target: "plugin", "{text}"),
        3 => tracing::info!(target: "plugin", "{text}"),
        _ => tracing::debug!(target: "plugin", "{text}"),
    }
}
