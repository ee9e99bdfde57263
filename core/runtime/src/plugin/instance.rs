//! An instance of a component, from its `create` to its `destroy`.

use std::ffi::c_void;
use std::sync::Arc;
use std::thread::ThreadId;

use anyflow_abi::{Report, StrView};
use anyflow_plan::plan::Component;

use super::call::Call;
use super::library::Plugin;
use super::watch::Watched;
use crate::{Result, RunError};

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

/// The arguments of every `create`: id, parameters, report, and where the instance goes.
pub(super) type Create<'a> = &'a dyn Fn(StrView, StrView, *const Report, *mut *mut c_void) -> u32;

/// A function of a table that ends an instance.
pub(super) type Destroy = Option<unsafe extern "C" fn(instance: *mut c_void)>;

/// An instance that a plugin made; it is ended when it is dropped.
pub(super) struct Made {
    /// What it is an instance of.
    pub of: Instance,
    /// What the plugin calls it.
    pub pointer: *mut c_void,
    destroy: Destroy,
    home: ThreadId,
}

impl Made {
    /// Makes an instance by the plugin's `create`.
    ///
    /// # Errors
    /// What the plugin said.
    pub fn new(of: Instance, component: &Component, create: Create<'_>, destroy: Destroy) -> Result<Self> {
        let parameters = component.parameters.to_string();
        let (id, text) = (StrView::new(component.id.as_bytes()), StrView::new(parameters.as_bytes()));
        let mut pointer = std::ptr::null_mut();
        let call = Call::begin(&of, "create");
        let code = create(id, text, call.report(), &mut pointer);
        call.end(code)?;
        if pointer.is_null() {
            return Err(of.error("create", "succeeded and gave no instance; the plugin's author must correct it"));
        }
        Ok(Made { of, pointer, destroy, home: std::thread::current().id() })
    }

    /// Refuses another thread than the one that the instance was made on: a module may keep state that is bound to it.
    ///
    /// # Errors
    /// [`RunError::Internal`].
    pub fn ensure_home(&self) -> Result<()> {
        if std::thread::current().id() == self.home {
            return Ok(());
        }
        Err(RunError::Internal(format!("{} is called on another thread than it was made on", self.of.component)))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            let _call = Call::begin(&self.of, "destroy");
            // SAFETY: the instance came from `create`, and no call is under way.
            unsafe { destroy(self.pointer) };
        }
    }
}
