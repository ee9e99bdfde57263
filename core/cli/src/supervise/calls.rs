//! The table of calls in memory that this program shares with the engine.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::AtomicU64;

use anyflow_plan::calls::{Call, Died, Table, WORDS};

/// A file of no name.
pub(super) struct Calls(File);

/// What the table says after the engine's end.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// How the engine died, if it could note it.
    pub died: Option<Died>,
    /// The calls that were under way.
    pub under_way: Vec<Call>,
}

impl Calls {
    /// An empty table.
    pub fn new() -> std::io::Result<Self> {
        let file = nameless()?;
        file.set_len(WORDS as u64 * 8)?;
        Ok(Calls(file))
    }

    /// Lets a program that is not started yet know of the table. The value must live until it is started.
    pub fn share(&self, command: &mut Command) -> std::io::Result<OwnedFd> {
        // A copy that a started program inherits.
        let shared = rustix::io::dup(&self.0)?;
        command.arg("--calls").arg(shared.as_raw_fd().to_string());
        Ok(shared)
    }

    /// What the table says; nothing, if it cannot be read.
    pub fn noted(&self) -> Noted {
        let mut bytes = Vec::new();
        let mut file = &self.0;
        let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes));
        let (words, _) = bytes.as_chunks::<8>();
        let words: Vec<AtomicU64> = words.iter().map(|word| AtomicU64::new(u64::from_le_bytes(*word))).collect();
        match Table::new(&words).filter(|_| read.is_ok()) {
            Some(table) => Noted { died: table.death(), under_way: table.under_way().map(|(_, call)| call).collect() },
            None => Noted::default(),
        }
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
