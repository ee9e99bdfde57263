//! An instance of a component, from its `create` to its `destroy`.

use std::ffi::c_void;
use std::thread::ThreadId;

use anyflow_abi::{Report, StrView};
use anyflow_plan::plan::Component;

use super::call::Call;
use super::instance::Instance;
use crate::{Result, RunError};

/// A `create` function. Its arguments: id, parameters, report, and the address of the result.
pub(super) type Create<'a> = &'a dyn Fn(StrView, StrView, *const Report, *mut *mut c_void) -> u32;

/// A `destroy` function of a table.
pub(super) type Destroy = Option<unsafe extern "C" fn(instance: *mut c_void)>;

/// An instance that a plugin created. Dropping it destroys it.
pub(super) struct Made {
    /// The plugin and the component.
    pub of: Instance,
    /// The plugin's pointer to the instance.
    pub pointer: *mut c_void,
    destroy: Destroy,
    /// The thread that created it.
    home: ThreadId,
}

impl Made {
    /// Calls the plugin's `create`.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn new(of: Instance, component: &Component, create: Create<'_>, destroy: Destroy) -> Result<Self> {
        let parameters = component.parameters.to_string();
        let id = StrView::new(component.id.as_bytes());
        let text = StrView::new(parameters.as_bytes());
        let mut pointer = std::ptr::null_mut();
        let call = Call::begin(&of, "create");
        let code = create(id, text, call.report(), &mut pointer);
        call.end(code)?;
        if pointer.is_null() {
            return Err(of.error("create", "succeeded but returned no instance; the plugin's author must fix it"));
        }
        Ok(Made { of, pointer, destroy, home: std::thread::current().id() })
    }

    /// Refuses any thread but the one that created the instance, because a module may hold thread-local state.
    ///
    /// # Errors
    /// [`RunError::Internal`].
    pub fn ensure_home(&self) -> Result<()> {
        if std::thread::current().id() == self.home {
            return Ok(());
        }
        Err(RunError::Internal(format!(
            "{} is called on another thread than the one that created it",
            self.of.component
        )))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            let _call = Call::begin(&self.of, "destroy");
            // SAFETY: the instance came from `create`, and no call is running.
            unsafe { destroy(self.pointer) };
        }
    }
}
