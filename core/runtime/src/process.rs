//! The process itself: how it ends, and what it notes when something else ends it.
//!
//! A plugin can crash or call `exit` in any thread. Then the dying thread notes in the [table of calls](anyflow_plan::calls)
//! which call it was in. It only stores into memory that the front shares: the heap and every lock may be in any state.

#[cfg(target_os = "linux")]
mod code;
mod death;

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use anyflow_plan::calls::{Table, WORDS};
use libc::c_int;
use memmap2::MmapRaw;

#[cfg(target_os = "linux")]
pub(crate) use code::note_code;

static TABLE: OnceLock<Table<'static>> = OnceLock::new();
/// This process, and not one that a plugin forked.
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// The calls into plugins that are under way in this process.
pub(crate) fn calls() -> Table<'static> {
    *TABLE.get_or_init(Table::own)
}

/// Prepares for the case of a crash. `shared` is the descriptor of a file that holds the table of calls and that belongs
/// to this call.
///
/// # Errors
/// The file is no table, or the system refuses.
pub fn prepare(shared: Option<i32>) -> io::Result<()> {
    PROCESS.store(rustix::process::getpid().as_raw_pid(), Ordering::SeqCst);
    if let Some(descriptor) = shared {
        let table = map(descriptor)?;
        TABLE.get_or_init(|| table);
    }
    calls();
    // SAFETY: the handlers only call what POSIX allows in them.
    unsafe {
        death::note_signals()?;
        death::note_exit();
        print_by_lines();
    }
    Ok(())
}

/// Ends this process at once: no destructor of a library runs beside threads that still work.
pub fn end(code: u8) -> ! {
    // SAFETY: it does not return, and runs nothing of this process.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// Ends this process and whatever its plugins have started, if they are a group of their own.
pub fn end_group() -> ! {
    // SAFETY: system calls, none of which touches memory.
    unsafe {
        let process = libc::getpid();
        if libc::getpgrp() == process {
            libc::kill(-process, libc::SIGKILL);
        }
    }
    end(1)
}

/// Lets the system end this process with its group when its parent ends, should it not hear of that itself.
pub(crate) fn end_with_parent() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the handler only calls what POSIX allows in it.
        let handled = unsafe { death::handle(libc::SIGHUP, on_hangup as *const () as usize) };
        if handled.is_ok() {
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::HUP));
        }
    }
}

#[cfg(target_os = "linux")]
unsafe extern "C" fn on_hangup(_signal: c_int, _info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    end_group();
}

/// Elsewhere a crash in a thread that a plugin started is laid to nobody.
#[cfg(not(target_os = "linux"))]
pub(crate) fn note_code(_plugin: &str, _address: *const libc::c_void) {}

/// The table in a file of another program's making.
fn map(descriptor: i32) -> io::Result<Table<'static>> {
    // SAFETY: whoever starts this process says that the descriptor is for this; it is used here alone, and closed.
    let file = unsafe { File::from_raw_fd(descriptor) };
    if file.metadata()?.len() != WORDS as u64 * 8 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no table of calls of this release"));
    }
    let memory = std::mem::ManuallyDrop::new(MmapRaw::map_raw(&file)?);
    // SAFETY: the memory is page-aligned, as long as this, and mapped for the life of the process. The front only reads
    // it once this process has ended.
    let words: &'static [AtomicU64] = unsafe { std::slice::from_raw_parts(memory.as_mut_ptr().cast(), WORDS) };
    Table::new(words).ok_or_else(|| io::Error::other("the table of calls has another size"))
}

/// Lets C's `stdout` write every line as it ends: nothing flushes it when this process ends, or crashes.
///
/// # Safety
/// Called before anything prints.
unsafe fn print_by_lines() {
    #[cfg(target_os = "linux")]
    // SAFETY: the stream is C's own, and nobody uses it yet.
    unsafe {
        unsafe extern "C" {
            static stdout: *mut libc::FILE;
        }
        libc::setvbuf(stdout, std::ptr::null_mut(), libc::_IOLBF, 0);
    }
}
