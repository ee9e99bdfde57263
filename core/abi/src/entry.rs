//! The exported static and the two tables that a host hands to a plugin.

use core::ffi::c_void;

use crate::{CellView, StrView};

/// First field of every entry.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ANYFLOW\0");
/// Changes when old binaries cannot be called any more.
pub const ABI_MAJOR: u16 = 1;
/// Grows with every addition.
pub const ABI_MINOR: u16 = 4;
/// Name of the exported static, of type [`Entry`].
pub const ENTRY_SYMBOL: &str = "anyflow_entry";
/// Section of the library file that holds the descriptor: JSON, nothing before it, and nothing but zero bytes after it.
pub const SECTION: &str = ".anyflow";

/// What a plugin exports. Static for the life of the process.
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
    /// The descriptor as the code knows it; the host compares it with the section. Static.
    pub descriptor: StrView,
    /// `[main]` Called once or more before anything else; calls are counted by nobody and must not matter. `host`
    /// is static. Gives a status. May be null.
    pub init: Option<unsafe extern "C" fn(host: *const Host) -> u32>,
    /// `[any]` The table of an interface, or null. Static.
    pub interface: Option<unsafe extern "C" fn(id: StrView) -> *const c_void>,
}

// SAFETY: an entry is immutable and points at static data only.
#[allow(unsafe_code)]
unsafe impl Sync for Entry {}

/// What the host offers to a plugin for the life of the process.
#[repr(C)]
pub struct Host {
    /// Size of this struct as the host knows it.
    pub struct_size: u32,
    /// [`ABI_MINOR`] of the host.
    pub abi_minor: u32,
    /// `[any]` A line for the log; level 1 error, 2 warning, 3 info, 4 debug. The text is copied.
    pub log: Option<unsafe extern "C" fn(level: u32, text: StrView)>,
}

/// Where a call reports to; valid during the call only. The callbacks may be called on the calling thread only: what is
/// reported from another one is dropped, and the call fails.
#[repr(C)]
pub struct Report {
    /// Size of this struct as the host knows it.
    pub struct_size: u32,
    /// The host's own, handed back to the callbacks.
    pub context: *mut c_void,
    /// `[any]` Why the call failed (`row` < 0), or why one row did; the text is copied. On the thread of the call that
    /// the report was passed to, until that call returns.
    pub error: Option<unsafe extern "C" fn(context: *mut c_void, row: i64, text: StrView)>,
    /// `[any]` A decoded cell of a row; its bytes, or the numbers of its lists, are copied. On the thread of the call that
    /// the report was passed to, until that call returns.
    pub cell: Option<unsafe extern "C" fn(context: *mut c_void, row: i64, cell: *const CellView)>,
}
