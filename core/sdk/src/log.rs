//! Messages for the host's log.

use std::sync::atomic::{AtomicPtr, Ordering};

use crate::abi::{Host, StrView, status};

static HOST: AtomicPtr<Host> = AtomicPtr::new(std::ptr::null_mut());

/// The severity of a message.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something looks wrong.
    Warning = 2,
    /// Worth knowing.
    Info = 3,
    /// For the plugin's author.
    Debug = 4,
}

/// Writes a line to the host's log. Does nothing without a host.
pub fn log(level: Level, text: &str) {
    let host = HOST.load(Ordering::Acquire);
    if host.is_null() {
        return;
    }
    // SAFETY: the host table that `init` received is static.
    if let Some(write) = unsafe { (*host).log } {
        // SAFETY: the text is readable until the call returns.
        unsafe { write(level as u32, StrView::new(text.as_bytes())) };
    }
}

#[doc(hidden)]
pub fn init(host: *const Host) -> u32 {
    HOST.store(host.cast_mut(), Ordering::Release);
    status::OK
}
