//! The installed plugins, and the generators of sources.

use indexmap::IndexMap;

use crate::descriptor::{Generators, PluginDescriptor};

/// The installed plugins, and the generators of sources.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Plugin name -> its descriptor and the path of its library.
    pub plugins: IndexMap<String, (PluginDescriptor, String)>,
    /// The generators by name.
    pub generators: Generators,
}
