//! Describes an engine that ended without a valid result.

use std::fmt;
use std::process::ExitStatus;

use anyflow_plan::calls::{Call, Cause};
use serde_json::{Value, json};

use super::calls::Noted;
use super::hear::{End, Heard};

/// How the engine ended, and what it was doing.
#[derive(Debug)]
pub struct Death {
    code: Option<i32>,
    signal: Option<i32>,
    /// It had reported success.
    was_done: bool,
    /// It was killed, since it did not exit by itself.
    lingered: bool,
    /// It ended by a call of `exit`.
    by_exit: bool,
    place: Place,
    /// The calls into plugins in progress, in all threads.
    under_way: Vec<Call>,
    /// The node or check that was entered last.
    entered: Option<String>,
    /// The last lines of its log.
    tail: Vec<String>,
    /// True if these lines were shown.
    tail_shown: bool,
}

/// Where it died.
#[derive(Debug)]
enum Place {
    /// In a call into a plugin.
    Call(Call),
    /// In a plugin's code, in a thread that the plugin started.
    Code { plugin: String },
    /// In a thread that was in no call into a plugin.
    Outside { thread: String },
    /// Unknown.
    Unknown,
}

impl std::error::Error for Death {}

impl Death {
    pub(super) fn new(heard: Heard, status: ExitStatus, noted: Noted) -> Self {
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let by_exit = noted.died.as_ref().is_some_and(|died| died.cause == Cause::Exit);
        Death {
            code: status.code(),
            signal,
            was_done: matches!(heard.end, Some(End::Done(_))),
            lingered: heard.lingered,
            by_exit: by_exit && signal.is_none(),
            place: Place::of(&noted, signal.is_none() || heard.lingered),
            under_way: noted.under_way,
            entered: heard.entered,
            tail: heard.tail.into(),
            tail_shown: heard.tail_shown,
        }
    }

    /// 3 if the engine died in a plugin and no signal from outside killed it, else 1.
    pub fn exit_code(&self) -> u8 {
        if self.plugin().is_some() && (self.lingered || !self.was_struck()) { 3 } else { 1 }
    }

    /// The node or check that was entered last, and how the engine ended, with the last line of its log.
    pub fn last(&self) -> (Option<&str>, String) {
        let said = self.tail.last().map(|line| format!("; last line of its log: {line}")).unwrap_or_default();
        (self.entered.as_deref(), format!("the engine {}{said}", self.how()))
    }

    /// How and where the engine ended, in one sentence without paths.
    pub fn brief(&self) -> String {
        format!("the engine {}{}", self.how(), self.place)
    }

    /// For `--json`.
    pub fn json(&self) -> Value {
        let call = |call: &Call| json!({"node": call.node, "component": call.component, "call": call.call});
        let (at, thread) = match &self.place {
            Place::Call(at) => (Some(at), None),
            Place::Outside { thread } => (None, Some(thread)),
            Place::Code { .. } | Place::Unknown => (None, None),
        };
        json!({
            "exit_status": self.code,
            "signal": self.signal,
            "node": at.map_or(self.entered.as_ref(), |at| at.node.as_ref()),
            "plugin": self.plugin(),
            "component": at.map(|at| &at.component),
            "call": at.map(|at| &at.call),
            "thread": thread,
            "under_way": self.under_way.iter().map(call).collect::<Vec<_>>(),
            "log": self.tail,
        })
    }

    fn plugin(&self) -> Option<&str> {
        match &self.place {
            Place::Call(call) => Some(call.plugin()),
            Place::Code { plugin } => Some(plugin),
            Place::Outside { .. } | Place::Unknown => None,
        }
    }

    /// SIGHUP, SIGINT, SIGKILL, SIGTERM: sent by a person, a batch system, or the kernel's OOM killer.
    fn was_struck(&self) -> bool {
        matches!(self.signal, Some(1 | 2 | 9 | 15))
    }

    fn how(&self) -> String {
        if self.lingered {
            let said = if self.was_done { "it reported success" } else { "its events ended" };
            return format!("did not exit by itself after {said}, and was killed");
        }
        let after = if self.was_done { "after it reported success" } else { "without a result" };
        match (self.signal, self.code) {
            (Some(signal), _) if self.was_done => format!("was killed by signal {signal}{} {after}", name(signal)),
            (Some(signal), _) => format!("was killed by signal {signal}{}", name(signal)),
            (None, Some(code)) if self.by_exit => format!("exited with code {code} {after}, by a call of exit()"),
            (None, Some(code)) => format!("exited with code {code} {after}"),
            (None, None) => "ended without a result".into(),
        }
    }
}

impl Place {
    /// The place of the dying thread. If the engine exited with a code and no thread noted it, foreign code ended it:
    /// the plugin, if all calls in progress are calls into the same one.
    fn of(noted: &Noted, by_itself: bool) -> Place {
        match &noted.died {
            Some(died) if died.sender.is_some() => Place::Unknown,
            Some(died) => match (&died.call, &died.code) {
                (Some(call), _) => Place::Call(call.clone()),
                (None, Some(plugin)) => Place::Code { plugin: plugin.clone() },
                (None, None) => Place::Outside { thread: died.thread.clone() },
            },
            None => match noted.under_way.split_first() {
                Some((call, others)) if by_itself && others.iter().all(|other| other.plugin() == call.plugin()) => {
                    Place::Call(call.clone())
                }
                _ => Place::Unknown,
            },
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Call(call) => {
                if let Some(node) = &call.node {
                    write!(f, " in node `{node}`,")?;
                }
                let Call { component, version, call: asked, .. } = call;
                write!(f, " inside plugin `{}` (version {version}), {component} {asked}", call.plugin())
            }
            Place::Code { plugin } => write!(f, " inside plugin `{plugin}`, in a thread of its own"),
            Place::Outside { thread } => write!(f, " outside any plugin, in thread `{thread}`"),
            Place::Unknown => Ok(()),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the engine {}{}", self.how(), self.place)?;
        if !matches!(self.place, Place::Call(_)) {
            match &self.entered {
                Some(node) => write!(f, "; the last node entered was `{node}`")?,
                None => write!(f, " before it entered any node")?,
            }
            if !self.under_way.is_empty() {
                let mut calls: Vec<_> = self.under_way.iter().map(|c| format!("{} {}", c.component, c.call)).collect();
                calls.dedup();
                write!(f, "; calls into plugins in progress: {}", calls.join(", "))?;
            }
        }
        if self.signal == Some(9) && !self.lingered {
            write!(f, "; probably the OOM killer, unless it was killed by hand")?;
        }
        write!(f, ". Committed rows are kept; run the same command again to resume.")?;
        if !self.tail.is_empty() && !self.tail_shown {
            write!(f, "\nThe last lines of its log:\n  {}", self.tail.join("\n  "))?;
        }
        Ok(())
    }
}

/// Names of the signals with the same number everywhere, and of the bus error.
fn name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        4 => " (SIGILL, illegal instruction)",
        6 => " (SIGABRT, aborted)",
        7 if cfg!(target_os = "linux") => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV, invalid memory access)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
