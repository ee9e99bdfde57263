//! What a library exports, read as far as it has proved to be there.

use std::ffi::c_void;

use anyflow_abi::{ABI_MAJOR, ENTRY_SYMBOL, Entry, MAGIC};
use libloading::os::unix::Library;

use super::library::rebuild;

/// The entry of a loaded library.
///
/// # Errors
/// It has none, or another one than this host knows.
///
/// # Safety
/// The library is never unloaded.
pub(super) unsafe fn entry(library: &Library, name: &str) -> Result<&'static Entry, String> {
    // SAFETY: the symbol is looked up as a pointer; what it points at is read field by field below.
    let entry = unsafe { library.get::<*const Entry>(ENTRY_SYMBOL.as_bytes()) };
    let entry: *const Entry =
        *entry.map_err(|_| format!("{name} has a descriptor but no symbol `{ENTRY_SYMBOL}`; {}", rebuild()))?;
    if entry.is_null() || !entry.is_aligned() {
        return Err(format!("`{ENTRY_SYMBOL}` of {name} lies where no entry can; {}", rebuild()));
    }
    // SAFETY: no entry is smaller than its magic number.
    if unsafe { (&raw const (*entry).magic).read() } != MAGIC {
        return Err(format!(
            "`{ENTRY_SYMBOL}` of {name} does not begin with Anyflow's magic number, so it is no plugin entry; {}",
            rebuild()
        ));
    }
    // SAFETY: an entry of any ABI has these fields.
    let (major, minor, size) = unsafe {
        let fields = (&raw const (*entry).abi_major, &raw const (*entry).abi_minor, &raw const (*entry).struct_size);
        (fields.0.read(), fields.1.read(), fields.2.read())
    };
    if major != ABI_MAJOR {
        return Err(format!("the code of {name} has ABI {major}.{minor}; {}", rebuild()));
    }
    if (size as usize) < size_of::<Entry>() {
        return Err(format!("the entry of {name} is cut short, {size} bytes; {}", rebuild()));
    }
    // SAFETY: it is as large as this host knows it, aligned, and a static of a library that is never unloaded.
    Ok(unsafe { &*entry })
}

/// A table of an interface, none if null. No table has grown since it was first released, so one that is smaller than
/// ours is broken; a larger one is that of a later minor.
///
/// # Errors
/// It cannot be such a table.
///
/// # Safety
/// `table` is null, or points at the static table of a plugin, which begins with its size.
pub(super) unsafe fn table<T>(table: *const c_void, id: &str, name: &str) -> Result<Option<&'static T>, String> {
    let table = table.cast::<T>();
    if table.is_null() {
        return Ok(None);
    }
    if !table.is_aligned() {
        return Err(format!("the table of {id} of {name} lies where no table can; {}", rebuild()));
    }
    // SAFETY: the caller promises that the table begins with its size, and has as many bytes.
    let size = unsafe { table.cast::<u32>().read() };
    if (size as usize) < size_of::<T>() {
        return Err(format!("the table of {id} of {name} is cut short, {size} bytes; {}", rebuild()));
    }
    // SAFETY: as above.
    Ok(unsafe { table.as_ref() })
}
