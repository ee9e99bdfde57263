//! Problems with plugins, before any of them is loaded.

use std::path::PathBuf;

use crate::allow::AllowError;
use crate::libtorch;

/// A problem with the set of plugins, or with a plugin that a job needs.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Two files of one plugin. The user must remove one of them from the search path.
    #[error(
        "plugin `{name}` was found twice: {} and {}; remove one, or take its folder out of ANYFLOW_PLUGINS",
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
    /// The list of allowed plugins cannot be used.
    #[error(transparent)]
    Allow(#[from] AllowError),
    /// A plugin that cannot be loaded. Its author must rebuild it, or the user must take another version.
    #[error("plugin `{name}` ({}) cannot be used: {refusal}", path.display())]
    Refused {
        /// Name of the plugin.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        refusal: PluginRefusal,
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

/// Why a plugin with a readable descriptor cannot be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PluginRefusal {
    /// Its hash is not on the list of allowed plugins.
    #[error("it is not on the list of allowed plugins; if you trust it, add its blake3 hash to the list: {0}")]
    NotAllowed(String),
    /// Others could exchange the file between the check of its hash and its loading.
    #[error("its folder {} {why}, so that others could exchange it; move it to a folder that only you can write to", folder.display())]
    Exposed {
        /// Its folder.
        folder: PathBuf,
        /// What makes the folder unsafe.
        why: &'static str,
    },
    /// Built for another ABI.
    #[error(
        "it was built for ABI {}.{}, this Anyflow has ABI {}.{}; rebuild the plugin with this release's SDK, or use \
         the Anyflow that it was built for",
        .0[0], .0[1], anyflow_abi::ABI_MAJOR, anyflow_abi::ABI_MINOR
    )]
    Abi([u16; 2]),
    /// Built for another machine.
    #[error("it is made for {0}; get it for {ours}, or rebuild it here", ours = std::env::consts::ARCH)]
    Machine(String),
    /// A library that it needs is in none of the folders where the system's loader looks.
    #[error("it needs the library {0}, which is not installed; install it, or add its folder to LD_LIBRARY_PATH")]
    Missing(String),
    /// Built for another libtorch.
    #[error(
        "it was built for libtorch {0}, this Anyflow runs libtorch {ours}; rebuild the plugin against libtorch {ours}",
        ours = libtorch::VERSION
    )]
    Libtorch(String),
}

impl PluginRefusal {
    /// True if the file can never be loaded on this system.
    pub fn is_broken(&self) -> bool {
        matches!(self, PluginRefusal::Machine(_) | PluginRefusal::Missing(_))
    }
}
