//! The process itself: how it ends, and what it records when a crash or a signal ends it.
//!
//! A plugin can crash or call `exit` in any thread. Then the dying thread records in the [table of calls](anyflow_plan::calls)
//! which call it was in. It only writes to memory shared with the front, because the heap and all locks may be in any state.

#[cfg(target_os = "linux")]
mod code;
mod death;
mod table;

use std::io;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::c_int;

#[cfg(target_os = "linux")]
pub(crate) use code::note_code;
pub(crate) use table::{calls, exchange_current};

/// The id of this process, to distinguish it from children that a plugin forked.
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// Prepares for a crash. `shared` is the file descriptor of the front's table of calls; this function takes and closes it.
///
/// # Errors
/// The file is not a table of calls, or a system call fails.
pub fn prepare(shared: Option<i32>) -> io::Result<()> {
    PROCESS.store(rustix::process::getpid().as_raw_pid(), Ordering::SeqCst);
    if let Some(descriptor) = shared {
        table::share(descriptor)?;
    }
    calls();
    // Without this, a file above the limit of the system (`ulimit -f`) would end the process and not only fail to be written.
    // SAFETY: no handler runs.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    // SAFETY: the handlers only call async-signal-safe functions.
    unsafe {
        death::note_signals()?;
        death::note_exit();
        print_by_lines();
    }
    Ok(())
}

/// The largest resident memory of this process so far, in bytes; `None` where the kernel does not say.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Ends this process at once, so that no library's destructor runs while other threads still work.
pub fn end(code: u8) -> ! {
    // SAFETY: the call does not return and runs no code of this process.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// Ends this process and, if it leads its process group, all processes that its plugins have started.
pub fn end_group() -> ! {
    // SAFETY: these system calls do not touch memory.
    unsafe {
        let process = libc::getpid();
        if libc::getpgrp() == process {
            libc::kill(-process, libc::SIGKILL);
        }
    }
    end(1)
}

/// Asks the system to end this process and its group when its parent ends, in case this process does not notice it.
pub(crate) fn end_with_parent() {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the handler only calls async-signal-safe functions.
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

/// On other systems a crash in a thread of a plugin cannot be attributed to the plugin.
#[cfg(not(target_os = "linux"))]
pub(crate) fn note_code(_plugin: &str, _address: *const libc::c_void) {}

/// Makes C's `stdout` line-buffered, because nothing flushes it when this process ends or crashes.
///
/// # Safety
/// Must be called before anything prints.
unsafe fn print_by_lines() {
    #[cfg(target_os = "linux")]
    // SAFETY: the stream is libc's own, and no code uses it yet.
    unsafe {
        unsafe extern "C" {
            static stdout: *mut libc::FILE;
        }
        libc::setvbuf(stdout, std::ptr::null_mut(), libc::_IOLBF, 0);
    }
}
