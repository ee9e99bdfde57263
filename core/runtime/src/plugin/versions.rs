//! The versions of the border: of this host, and of a plugin.

use anyflow_abi::{ABI_MAJOR, ABI_MINOR};
use anyflow_plan::descriptor::PluginDescriptor;

use crate::LIBTORCH;

/// The end of every error about a plugin that does not fit.
pub(super) fn rebuild() -> String {
    format!("this host has {}; rebuild the plugin with this release's SDK", host())
}

/// The versions of this host, in words.
pub(super) fn host() -> String {
    format!("ABI {ABI_MAJOR}.{ABI_MINOR} and libtorch {LIBTORCH}")
}

/// Refuses a plugin that is built for another ABI or another libtorch.
pub(super) fn check(descriptor: &PluginDescriptor) -> Result<(), String> {
    let PluginDescriptor { plugin, version, abi: [major, minor], libtorch, .. } = descriptor;
    if *major != ABI_MAJOR {
        return Err(format!(
            "{plugin} {version} is built for ABI {major}.{minor}, but this host has {ABI_MAJOR}.{ABI_MINOR}; rebuild the \
             plugin with this release's SDK, or use a release of Anyflow with ABI {major}"
        ));
    }
    match libtorch {
        Some(theirs) if theirs != LIBTORCH => Err(format!(
            "{plugin} {version} is built for libtorch {theirs}, but this host uses {LIBTORCH}; rebuild the plugin for \
             {LIBTORCH}"
        )),
        _ => Ok(()),
    }
}
