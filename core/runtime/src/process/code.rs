//! Records the address range of a plugin's code, so that a crash in a thread of the plugin can be attributed to it.

use libc::{c_int, c_void};

use super::table::calls;

/// Records the address range of the library that contains this address.
pub(crate) fn note_code(plugin: &str, address: *const c_void) {
    let mut found = Found { address: address as u64, code: 0..0 };
    // SAFETY: the callback gets `found`, which lives until the call returns.
    unsafe { libc::dl_iterate_phdr(Some(on_library), (&raw mut found).cast()) };
    if !found.code.is_empty() {
        calls().library(plugin, found.code);
    }
}

/// A search for a library.
struct Found {
    address: u64,
    code: std::ops::Range<u64>,
}

unsafe extern "C" fn on_library(info: *mut libc::dl_phdr_info, _size: usize, found: *mut c_void) -> c_int {
    // SAFETY: the loader passes valid information, and `found` is the pointer that was passed to it.
    let (info, found) = unsafe { (&*info, &mut *found.cast::<Found>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader's table has `dlpi_phnum` headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let parts = loaded.map(|header| {
        let begin = info.dlpi_addr.wrapping_add(header.p_vaddr);
        begin..begin.saturating_add(header.p_memsz)
    });
    let whole = parts.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0);
    if !whole.contains(&found.address) {
        return 0;
    }
    found.code = whole;
    1
}
