//! The exported static, and the two tables that a host passes to a plugin.

use core::ffi::c_void;

use crate::{CellView, StrView};

/// First field of every entry.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ANYFLOW\0");
/// Changes when old binaries become incompatible.
pub const ABI_MAJOR: u16 = 1;
/// Grows with every addition.
pub const ABI_MINOR: u16 = 6;
/// Name of the exported static, of type [`Entry`].
pub const ENTRY_SYMBOL: &str = "anyflow_entry";
/// Section of the library file that holds the descriptor: JSON with nothing before it and only zero bytes after it.
pub const SECTION: &str = ".anyflow";

/// The exported entry of a plugin. Static for the life of the process.
#[repr(C)]
pub struct Entry {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_MAJOR`] of the plugin.
    pub abi_major: u16,
    /// [`ABI_MINOR`] of the plugin.
    pub abi_minor: u16,
    /// Size of this struct as the plugin knows it.
    pub struct_size: u32,
    /// The descriptor in the code; the host compares it with the section. Static.
    pub descriptor: StrView,
    /// `[main]` Called at least once before anything else; repeated calls must have no further effect. `host` is
    /// static. Returns a status. May be null.
    pub init: Option<unsafe extern "C" fn(host: *const Host) -> u32>,
    /// `[any]` Returns the static table of an interface, or null.
    pub interface: Option<unsafe extern "C" fn(id: StrView) -> *const c_void>,
}

// SAFETY: an entry is immutable and points at static data only.
#[allow(unsafe_code)]
unsafe impl Sync for Entry {}

/// The host's functions for plugins, valid for the life of the process.
#[repr(C)]
pub struct Host {
    /// Size of this struct as the host knows it.
    pub struct_size: u32,
    /// [`ABI_MINOR`] of the host.
    pub abi_minor: u32,
    /// `[any]` Logs a line; level 1 error, 2 warning, 3 info, 4 debug. The host copies the text.
    pub log: Option<unsafe extern "C" fn(level: u32, text: StrView)>,
}

/// The callbacks for a call's reports, valid during the call only. A plugin may use them on the calling thread only:
/// the host drops reports from another thread, and the call fails.
#[repr(C)]
pub struct Report {
    /// Size of this struct as the host knows it.
    pub struct_size: u32,
    /// The host's own data, passed back to the callbacks.
    pub context: *mut c_void,
    /// `[any]` Reports why the call failed (`row` < 0) or why one row failed. The host copies the text. Only on the
    /// thread of the call, until that call returns.
    pub error: Option<unsafe extern "C" fn(context: *mut c_void, row: i64, text: StrView)>,
    /// `[any]` Reports the decoded cell of a row. The host copies its bytes, files or lists. Only on the thread of the
    /// call, until that call returns.
    pub cell: Option<unsafe extern "C" fn(context: *mut c_void, row: i64, cell: *const CellView)>,
}
