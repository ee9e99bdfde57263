//! Which calls into plugins are under way, and where the engine died. The engine keeps both in a [table](Table) in memory
//! that its front shares, so that the front can read it however the engine ended.

mod table;

pub use table::{Table, WORDS};

/// Between the parts of a call's text.
const BETWEEN: &str = "\u{1f}";

/// A call into a plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call<T = String> {
    /// The node, stage or task that it belongs to, if there is one.
    pub node: Option<T>,
    /// `plugin/component`, or the plugin where it is loaded.
    pub component: T,
    /// The plugin's version.
    pub version: T,
    /// What it is asked for.
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

/// What ended the process, as far as it could note it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A signal.
    Signal(u32),
    /// A call of `exit`.
    Exit,
}

/// What a dying thread stores.
#[derive(Clone, Copy, Debug)]
pub struct Dying {
    /// Why it dies.
    pub cause: Cause,
    /// The process that sent the signal, if it is another one.
    pub sender: Option<u32>,
    /// The slot of its call, 0 for none.
    pub slot: usize,
    /// The address of the code that it ran.
    pub address: u64,
    /// The thread's name, filled up with zeros.
    pub thread: [u8; 16],
}

/// How a process died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Died {
    /// Why.
    pub cause: Cause,
    /// The process that sent the signal, if it is another one.
    pub sender: Option<u32>,
    /// The call that the dying thread was in.
    pub call: Option<Call>,
    /// The plugin whose code the dying thread ran, where that thread was in no call that the host made.
    pub code: Option<String>,
    /// The dying thread's name.
    pub thread: String,
}

#[cfg(test)]
mod tests;
