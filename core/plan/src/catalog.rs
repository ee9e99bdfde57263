//! The installed plugins.

use indexmap::IndexMap;

use crate::descriptor::PluginDescriptor;

/// The installed plugins.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Plugin name -> its descriptor and the path of its library.
    pub plugins: IndexMap<String, (PluginDescriptor, String)>,
}
