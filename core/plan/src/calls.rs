//! Running calls into plugins, and the cause of death of the engine. The engine keeps both in a [table](CallTable) in shared
//! memory, so the front can read it after any kind of death.

mod table;

pub use table::{CallTable, WORDS};

/// Separator of the parts of a call's text.
const BETWEEN: &str = "\u{1f}";

/// A call into a plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call<T = String> {
    /// Its node, stage or task, if any.
    pub node: Option<T>,
    /// `plugin/component`, or the plugin while it is loaded.
    pub component: T,
    /// The plugin's version.
    pub version: T,
    /// The function.
    pub call: T,
}

impl Call {
    /// The plugin's name.
    pub fn plugin(&self) -> &str {
        self.component.split('/').next().unwrap_or_default()
    }

    fn of_text(text: &str) -> Option<Call> {
        let mut parts = text.split(BETWEEN).map(String::from);
        let node = parts.next().filter(|node| !node.is_empty());
        Some(Call { node, component: parts.next()?, version: parts.next()?, call: parts.next()? })
    }
}

/// The cause of death, as far as the process could record it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A signal.
    Signal(u32),
    /// A call of `exit`.
    Exit,
}

/// The record of a dying thread.
#[derive(Clone, Copy, Debug)]
pub struct Dying {
    /// The cause.
    pub cause: Cause,
    /// The process that sent the signal, if it is another process.
    pub sender: Option<u32>,
    /// The slot of its call, 0 for none.
    pub slot: usize,
    /// The address of the running code.
    pub address: u64,
    /// The thread's name, padded with zeros.
    pub thread: [u8; 16],
}

/// The death of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Died {
    /// The cause.
    pub cause: Cause,
    /// The process that sent the signal, if it is another process.
    pub sender: Option<u32>,
    /// The call that the dying thread was in.
    pub call: Option<Call>,
    /// The plugin whose code the dying thread ran, if the thread was not in a call by the host.
    pub code: Option<String>,
    /// The dying thread's name.
    pub thread: String,
}

#[cfg(test)]
mod tests;
