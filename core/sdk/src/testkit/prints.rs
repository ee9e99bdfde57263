//! Counts what a plugin prints. Standard output belongs to the host.

#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
pub use linux::let_through;
#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
pub(super) use linux::printed_by;

#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
mod linux {
    use std::ffi::{c_char, c_int, c_uint, c_void};
    use std::fs::File;
    use std::io::{self, Read, Seek, SeekFrom, Write};
    use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
    use std::sync::{Mutex, PoisonError};

    /// The real standard output while it is redirected.
    static KEPT: Mutex<Option<OwnedFd>> = Mutex::new(None);
    const OUTPUT: c_int = 1;

    unsafe extern "C" {
        fn dup2(from: c_int, to: c_int) -> c_int;
        fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
        fn fflush(stream: *mut c_void) -> c_int;
    }

    /// Restores standard output inside of `printed_by`, for a host that has to print meanwhile.
    pub fn let_through() {
        let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(kept) = kept {
            // SAFETY: both are open descriptors of this process.
            unsafe { dup2(kept.as_raw_fd(), OUTPUT) };
        }
    }

    /// Runs `work` and counts the bytes that it writes to standard output. They go to standard error.
    pub fn printed_by<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let memory = redirect();
        let done = work();
        flush();
        let_through();
        let bytes = memory.map(written).unwrap_or_default();
        let _ = io::stderr().write_all(&bytes);
        (done, bytes.len())
    }

    fn redirect() -> Option<File> {
        flush();
        let kept = io::stdout().as_fd().try_clone_to_owned().ok()?;
        // SAFETY: the name ends with 0; the descriptor is new and nobody else owns it.
        let memory = unsafe {
            let number = memfd_create(c"prints".as_ptr(), 0);
            (number >= 0).then(|| File::from_raw_fd(number))?
        };
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        // SAFETY: both are open descriptors of this process.
        unsafe { dup2(memory.as_raw_fd(), OUTPUT) };
        Some(memory)
    }

    /// Flushes the buffers of Rust and of C.
    fn flush() {
        let _ = io::stdout().flush();
        // SAFETY: null means all streams.
        unsafe { fflush(std::ptr::null_mut()) };
    }

    fn written(mut memory: File) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = memory.seek(SeekFrom::Start(0)).and_then(|_| memory.read_to_end(&mut bytes));
        bytes
    }
}

/// Runs `work`; this platform does not count what it prints.
#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
pub(super) fn printed_by<T>(work: impl FnOnce() -> T) -> (T, usize) {
    (work(), 0)
}

/// Does nothing; this platform does not redirect standard output.
#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
pub fn let_through() {}
