//! The table of calls into plugins, in memory shared with the engine.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::AtomicU64;

use anyflow_plan::calls::{Call, CallTable, Died, WORDS};

/// An anonymous file.
pub(super) struct Calls(File);

/// The contents of the table after the engine's end.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// How the engine died, if it noted it.
    pub died: Option<Died>,
    /// The calls in progress.
    pub under_way: Vec<Call>,
}

impl Calls {
    /// An empty table.
    pub fn new() -> std::io::Result<Self> {
        let bytes = WORDS as u64 * 8;
        check_limit(bytes)?;
        let file = nameless()?;
        file.set_len(bytes)?;
        Ok(Calls(file))
    }

    /// Passes the table to a program before it starts. Keep the returned descriptor until then.
    pub fn share(&self, command: &mut Command) -> std::io::Result<OwnedFd> {
        // A duplicate without close-on-exec, which the child inherits.
        let shared = rustix::io::dup(&self.0)?;
        command.arg("--calls").arg(shared.as_raw_fd().to_string());
        Ok(shared)
    }

    /// The contents of the table; empty if it cannot be read.
    pub fn noted(&self) -> Noted {
        let mut bytes = Vec::new();
        let mut file = &self.0;
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes));
        let (words, _) = bytes.as_chunks::<8>();
        let words: Vec<AtomicU64> = words.iter().map(|word| AtomicU64::new(u64::from_le_bytes(*word))).collect();
        match CallTable::new(&words).filter(|_| read.is_ok()) {
            Some(table) => Noted { died: table.death(), under_way: table.under_way().map(|(_, call)| call).collect() },
            None => Noted::default(),
        }
    }
}

/// Refuses a limit on the size of files below `needed` bytes, since the system ends a process that exceeds it.
fn check_limit(needed: u64) -> std::io::Result<()> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    match limit.filter(|limit| *limit < needed) {
        Some(limit) => {
            let text = format!("files may have at most {limit} bytes here; raise this limit (`ulimit -f`)");
            Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, text))
        }
        None => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn nameless() -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, memfd_create};
    Ok(memfd_create("anyflow-calls", MemfdFlags::CLOEXEC)?.into())
}

#[cfg(not(target_os = "linux"))]
fn nameless() -> std::io::Result<File> {
    tempfile::tempfile()
}
