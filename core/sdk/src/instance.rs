//! Instances that the host holds by a pointer. Codecs, modules and array modules make and destroy them in the same way.

use std::ffi::c_void;

use crate::abi::{Report, StrView};
use crate::guard::{Poisonable, guarded};
use crate::{Error, Parameters};

/// One component of a plugin, and the function that makes an instance of it.
#[doc(hidden)]
pub struct ComponentEntry<F> {
    /// Name inside the plugin.
    pub id: &'static str,
    /// Makes an instance.
    pub make: F,
}

/// The components of a plugin that share one interface; the export macro implements it.
#[doc(hidden)]
pub trait Components<E: 'static> {
    /// All of them, in the order of the descriptor.
    const ALL: &'static [E];
}

/// Makes an instance of component `id` and passes it to the host.
///
/// # Safety
/// The arguments are those of an interface's `create`.
pub(crate) unsafe fn create<F, T>(
    entries: &[ComponentEntry<F>],
    id: StrView,
    parameters: StrView,
    report: *const Report,
    instance: *mut *mut c_void,
    make: impl FnOnce(&F, &Parameters) -> Result<T, Error>,
) -> u32 {
    // SAFETY: the caller promises readable texts, a valid report and a writable `instance`.
    unsafe {
        guarded(report, || {
            let id = id.bytes()?;
            let entry = entries.iter().find(|entry| entry.id.as_bytes() == id);
            let entry = entry.ok_or_else(|| {
                Error::Failed(format!("the plugin has no component `{}`", String::from_utf8_lossy(id)))
            })?;
            let made = make(&entry.make, &Parameters::parse(parameters.bytes()?)?)?;
            *instance = Box::into_raw(Box::new(Poisonable::new(made))).cast();
            Ok(())
        })
    }
}

/// Destroys an instance that [`create`] made; does nothing for null.
///
/// # Safety
/// `instance` is null, or came from [`create`] with the same `T` and is not used again.
#[doc(hidden)]
pub unsafe extern "C" fn destroy<T>(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the caller gives the instance up.
    let instance = unsafe { Box::from_raw(instance.cast::<Poisonable<T>>()) };
    // SAFETY: a null report is allowed; without one, a panic in a drop is only caught.
    unsafe {
        guarded(std::ptr::null(), move || {
            drop(instance);
            Ok(())
        })
    };
}
