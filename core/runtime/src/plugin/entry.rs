//! The exports of a library. Each field is read only after it is known to exist.

use std::ffi::c_void;

use anyflow_abi::{ABI_MAJOR, ENTRY_SYMBOL, Entry, MAGIC};
use libloading::os::unix::Library;

use super::versions::rebuild;

/// The entry of a loaded library.
///
/// # Errors
/// The library has no entry, or one that this host does not know.
///
/// # Safety
/// The library is never unloaded.
pub(super) unsafe fn entry(library: &Library, name: &str) -> Result<&'static Entry, String> {
    // SAFETY: the symbol is only read as a pointer; its target is read field by field below.
    let entry = unsafe { library.get::<*const Entry>(ENTRY_SYMBOL.as_bytes()) };
    let entry: *const Entry =
        *entry.map_err(|_| format!("{name} has a descriptor but no symbol `{ENTRY_SYMBOL}`; {}", rebuild()))?;
    if entry.is_null() || !entry.is_aligned() {
        return Err(format!("`{ENTRY_SYMBOL}` of {name} has an invalid address; {}", rebuild()));
    }
    // SAFETY: every entry holds at least the magic number.
    if unsafe { (&raw const (*entry).magic).read() } != MAGIC {
        return Err(format!(
            "`{ENTRY_SYMBOL}` of {name} does not start with Anyflow's magic number, so it is not a plugin entry; {}",
            rebuild()
        ));
    }
    // SAFETY: the entry of any ABI has this field.
    let major = unsafe { (&raw const (*entry).abi_major).read() };
    // SAFETY: as above.
    let minor = unsafe { (&raw const (*entry).abi_minor).read() };
    // SAFETY: as above.
    let size = unsafe { (&raw const (*entry).struct_size).read() };
    if major != ABI_MAJOR {
        return Err(format!("the code of {name} has ABI {major}.{minor}; {}", rebuild()));
    }
    if (size as usize) < size_of::<Entry>() {
        return Err(format!("the entry of {name} is truncated to {size} bytes; {}", rebuild()));
    }
    // SAFETY: it is at least as large as this host's type, aligned, and a static of a library that is never unloaded.
    Ok(unsafe { &*entry })
}

/// The table of an interface; `None` if null. A table smaller than ours is broken, because no table has grown since its
/// first release. A larger one belongs to a later minor version.
///
/// # Errors
/// The pointer or the size is invalid.
///
/// # Safety
/// `table` is null, or points to the static table of a plugin, which starts with its size.
pub(super) unsafe fn table<T>(table: *const c_void, id: &str, name: &str) -> Result<Option<&'static T>, String> {
    let table = table.cast::<T>();
    if table.is_null() {
        return Ok(None);
    }
    if !table.is_aligned() {
        return Err(format!("the table of {id} of {name} has an invalid address; {}", rebuild()));
    }
    // SAFETY: the caller promises that the table starts with its size, and has as many bytes.
    let size = unsafe { table.cast::<u32>().read() };
    if (size as usize) < size_of::<T>() {
        return Err(format!("the table of {id} of {name} is truncated to {size} bytes; {}", rebuild()));
    }
    // SAFETY: as above.
    Ok(unsafe { table.as_ref() })
}
