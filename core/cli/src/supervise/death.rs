//! The engine ended without a word.

use std::fmt;
use std::process::ExitStatus;

use serde_json::{Value, json};

/// How it ended, and what was going on.
#[derive(Debug)]
pub struct Death {
    code: Option<i32>,
    signal: Option<i32>,
    /// The node that was entered last.
    node: Option<String>,
    /// The plugin that ran there.
    plugin: Option<String>,
    /// The end of its log.
    tail: Vec<String>,
    /// Whether the person has seen it.
    tail_shown: bool,
}

impl std::error::Error for Death {}

impl Death {
    pub(super) fn new(
        status: ExitStatus,
        node: Option<String>,
        plugin: Option<String>,
        tail: Vec<String>,
        tail_shown: bool,
    ) -> Self {
        Death { code: status.code(), signal: signal(status), node, plugin, tail, tail_shown }
    }

    /// The plugin is to blame if it was running, unless the blow came from outside.
    pub fn exit_code(&self) -> u8 {
        if self.plugin.is_some() && !self.was_struck() { 3 } else { 1 }
    }

    /// The node that was entered last, and how it ended there, with the last words of its log.
    pub fn last(&self) -> (Option<&str>, String) {
        let said = self.tail.last().map(|line| format!("; its last words: {line}")).unwrap_or_default();
        (self.node.as_deref(), format!("the engine {}{said}", self.how()))
    }

    /// For `--json`.
    pub fn json(&self) -> Value {
        json!({
            "exit_status": self.code,
            "signal": self.signal,
            "node": self.node,
            "plugin": self.plugin,
            "log": self.tail,
        })
    }

    /// SIGHUP, SIGINT, SIGKILL, SIGTERM: sent by a person, a batch system, or the kernel when memory runs out.
    fn was_struck(&self) -> bool {
        matches!(self.signal, Some(1 | 2 | 9 | 15))
    }

    fn how(&self) -> String {
        match (self.signal, self.code) {
            (Some(signal), _) => format!("was killed by signal {signal}{}", name(signal)),
            (None, Some(code)) => format!("ended with code {code} and without a result"),
            (None, None) => "ended without a result".into(),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the engine {}", self.how())?;
        match (&self.node, &self.plugin) {
            (Some(node), Some(plugin)) => write!(f, " in node `{node}`, inside plugin `{plugin}`")?,
            (Some(node), None) => write!(f, " in node `{node}`, outside any plugin")?,
            _ => write!(f, " before it entered any node")?,
        }
        if self.signal == Some(9) {
            write!(f, "; when nobody killed it, the machine ran out of memory")?;
        }
        write!(f, ". Nothing committed is lost; the same command resumes.")?;
        if !self.tail.is_empty() && !self.tail_shown {
            write!(f, "\nThe end of its log:\n  {}", self.tail.join("\n  "))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}

/// Names of the signals that have the same number everywhere, and of a bus error.
fn name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        4 => " (SIGILL, an illegal instruction)",
        6 => " (SIGABRT, it gave up)",
        7 if cfg!(target_os = "linux") => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV, a wrong memory access)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
