//! The state of the process, as reported by the system.

#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
pub(super) use linux::*;
#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
pub(super) use nothing::*;

#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
mod linux {
    use std::collections::BTreeSet;
    use std::ffi::{CStr, c_char, c_int};
    use std::fs;
    use std::time::Duration;

    /// The most calls of [`pause`].
    pub const PATIENCE: usize = 50;

    /// `LC_ALL` of <locale.h>.
    const LC_ALL: c_int = 6;

    unsafe extern "C" {
        fn setlocale(category: c_int, locale: *const c_char) -> *mut c_char;
    }

    /// Waits a moment: a thread that has ended is still listed for a short time.
    pub fn pause() {
        std::thread::sleep(Duration::from_millis(10));
    }

    pub fn folder() -> String {
        std::env::current_dir().map_or_else(|error| error.to_string(), |folder| folder.display().to_string())
    }

    pub fn umask() -> String {
        lines(&["Umask:"])
    }

    /// The blocked, ignored and handled signals, as bit sets.
    pub fn signals() -> String {
        lines(&["SigBlk:", "SigIgn:", "SigCgt:"])
    }

    pub fn locale() -> String {
        // SAFETY: null asks for the name, which lives until the locale changes; it is copied before.
        let name = unsafe { setlocale(LC_ALL, std::ptr::null()) };
        // SAFETY: as above, and null is handled first.
        if name.is_null() { String::new() } else { unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned() }
    }

    /// Number and target of each descriptor.
    pub fn open_files() -> BTreeSet<String> {
        let named = |number: String| {
            let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
            Some(format!("{number} {}", target.display()))
        };
        names("/proc/self/fd").into_iter().filter_map(named).collect()
    }

    /// Numbers of the threads.
    pub fn threads() -> BTreeSet<String> {
        names("/proc/self/task")
    }

    /// Numbers of the child processes, including zombies.
    pub fn children() -> BTreeSet<String> {
        let of = |thread: String| fs::read_to_string(format!("/proc/self/task/{thread}/children")).unwrap_or_default();
        let all: Vec<String> = threads().into_iter().map(of).collect();
        all.iter().flat_map(|line| line.split_whitespace()).map(String::from).collect()
    }

    fn names(folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// The lines of this thread's status with these keys.
    fn lines(keys: &[&str]) -> String {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let asked = status.lines().filter(|line| keys.iter().any(|key| line.starts_with(key)));
        asked.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu", not(miri))))]
mod nothing {
    use std::collections::BTreeSet;

    pub const PATIENCE: usize = 0;
    pub fn pause() {}
    pub fn folder() -> String {
        String::new()
    }
    pub fn umask() -> String {
        String::new()
    }
    pub fn signals() -> String {
        String::new()
    }
    pub fn locale() -> String {
        String::new()
    }
    pub fn open_files() -> BTreeSet<String> {
        BTreeSet::new()
    }
    pub fn threads() -> BTreeSet<String> {
        BTreeSet::new()
    }
    pub fn children() -> BTreeSet<String> {
        BTreeSet::new()
    }
}
