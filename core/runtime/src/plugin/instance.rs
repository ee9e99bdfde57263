//! What is known of an instance before its plugin creates it: errors and the watchdog name it.

use std::sync::Arc;

use anyflow_plan::plan::Component;

use super::library::Plugin;
use super::watch::Watched;
use crate::RunError;

/// The plugin and the component of an instance.
pub(super) struct Instance {
    pub plugin: Arc<Plugin>,
    /// `plugin/component`.
    pub component: String,
}

impl Instance {
    /// Describes an instance of a component.
    pub fn of(plugin: Arc<Plugin>, component: &Component) -> Self {
        Instance { plugin, component: format!("{}/{}", component.plugin, component.id) }
    }

    /// Makes an error of a call, with component and version.
    pub fn error(&self, call: &str, text: &str) -> RunError {
        RunError::Plugin {
            component: self.component.clone(),
            version: self.plugin.descriptor.version.clone(),
            call: call.into(),
            text: text.into(),
        }
    }

    /// Makes the error of a call that is missing in the plugin's table.
    pub fn missing(&self, call: &str) -> RunError {
        self.error(call, "is missing in the plugin's table; the plugin's author must add it")
    }

    /// Registers a call with the watchdog until the value is dropped.
    pub fn watched(&self, call: &str) -> Watched {
        Watched::begin(&self.component, &self.plugin.descriptor.version, call)
    }

    /// Registers a call of a thread that has no current node.
    pub fn watched_in(&self, node: Option<&str>, call: &str) -> Watched {
        Watched::begin_in(node, &self.component, &self.plugin.descriptor.version, call)
    }
}
