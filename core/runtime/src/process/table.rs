//! The table of running plugin calls of this process, and the call that each thread is in. A signal handler reads both,
//! so they take no lock.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use anyflow_plan::calls::{CallTable, WORDS};
use memmap2::MmapRaw;

static TABLE: OnceLock<CallTable<'static>> = OnceLock::new();

thread_local! {
    /// The slot of this thread's running call, 0 for none. A signal handler reads it, so it must not have a destructor.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The table of running plugin calls of this process.
pub(crate) fn calls() -> CallTable<'static> {
    *TABLE.get_or_init(CallTable::own)
}

/// The table, if there is one: safe in a signal handler.
pub(super) fn existing() -> Option<&'static CallTable<'static>> {
    TABLE.get()
}

/// The slot of this thread's running call, 0 for none: safe in a signal handler.
pub(super) fn current() -> usize {
    CURRENT.get()
}

/// Sets the slot of this thread's running call, and returns the one before.
pub(crate) fn exchange_current(slot: usize) -> usize {
    CURRENT.replace(slot)
}

/// Uses the front's table, unless this process has one already. Takes and closes its file descriptor.
///
/// # Errors
/// The file is not a table of calls, or a system call fails.
pub(super) fn share(descriptor: i32) -> io::Result<()> {
    let table = map(descriptor)?;
    TABLE.get_or_init(|| table);
    Ok(())
}

/// Maps the front's table of calls.
fn map(descriptor: i32) -> io::Result<CallTable<'static>> {
    // SAFETY: the front opened the descriptor for this purpose; only this function uses and closes it.
    let file = unsafe { File::from_raw_fd(descriptor) };
    if file.metadata()?.len() != WORDS as u64 * 8 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the file is not a table of calls of this release"));
    }
    let memory = std::mem::ManuallyDrop::new(MmapRaw::map_raw(&file)?);
    // SAFETY: the memory is page-aligned, holds `WORDS` words, and stays mapped until the process ends. The front reads it
    // only after that.
    let words: &'static [AtomicU64] = unsafe { std::slice::from_raw_parts(memory.as_mut_ptr().cast(), WORDS) };
    CallTable::new(words).ok_or_else(|| io::Error::other("the table of calls has another size"))
}
