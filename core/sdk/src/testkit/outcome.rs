//! Outcomes of checks.

use std::collections::BTreeMap;
use std::fmt;

use super::manners::{CHECKS, Scope, State};
use super::prints;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The plugin keeps the promise.
    Passed,
    /// The plugin breaks the promise; its author must act.
    Failed,
    /// The check could not run; the text says why, and what would allow it.
    Skipped,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Skipped => "skipped",
        })
    }
}

/// A finished check.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// The codec or module; empty for the plugin as a whole.
    pub component: String,
    /// The name of the check, one of a fixed set.
    pub check: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The finding.
    pub text: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Check { component, check, outcome, text } = self;
        let of = if component.is_empty() { String::new() } else { format!("{component} ") };
        write!(f, "{outcome} {of}{check}: {text}")
    }
}

/// What the test kit is doing. It reports each step at once, because a plugin may end the process.
#[derive(Debug)]
pub enum CheckEvent<'a> {
    /// A check begins.
    Begin {
        /// As in [`Check::component`].
        component: &'a str,
        /// As in [`Check::check`].
        check: &'static str,
    },
    /// It ended.
    End(&'a Check),
}

/// Why a check did not pass.
#[derive(Debug)]
pub(super) enum Unmet {
    Failed(String),
    Skipped(String),
}

impl From<String> for Unmet {
    fn from(text: String) -> Self {
        Unmet::Failed(text)
    }
}

impl From<&str> for Unmet {
    fn from(text: &str) -> Self {
        Unmet::Failed(text.into())
    }
}

/// The finding of a check, or why it did not pass.
pub(super) type Verdict = Result<String, Unmet>;

/// Runs checks one by one and collects their outcomes.
pub(super) struct Protocol<'a> {
    watch: &'a mut dyn FnMut(CheckEvent<'_>),
    scope: Scope,
    component: String,
    checks: Vec<Check>,
    /// The first offence against each check of manners.
    offences: BTreeMap<&'static str, String>,
}

impl<'a> Protocol<'a> {
    pub fn new(scope: Scope, watch: &'a mut dyn FnMut(CheckEvent<'_>)) -> Self {
        Protocol { watch, scope, component: String::new(), checks: Vec::new(), offences: BTreeMap::new() }
    }

    /// Assigns the following checks to this component.
    pub fn enter(&mut self, component: &str) {
        self.component = component.to_string();
    }

    /// Runs a check; true if it passed.
    pub fn check(&mut self, check: &'static str, body: impl FnOnce() -> Verdict) -> bool {
        (self.watch)(CheckEvent::Begin { component: &self.component, check });
        let before = State::now(self.scope);
        let (verdict, printed) = match self.scope {
            Scope::Process => prints::printed_by(body),
            Scope::Thread => (body(), 0),
        };
        let printed = (printed > 0).then(|| ("prints", format!("{printed} bytes on standard output")));
        for (manner, text) in before.changes(self.scope).into_iter().chain(printed) {
            self.offences.entry(manner).or_insert_with(|| format!("after `{check}`: {text}"));
        }
        self.record(check, verdict)
    }

    /// Reports how the component's checks so far left the thread and the process.
    pub fn manners(&mut self) {
        let offences = std::mem::take(&mut self.offences);
        let scope = self.scope;
        for manner in CHECKS.into_iter().filter(|manner| scope.has(manner)) {
            (self.watch)(CheckEvent::Begin { component: &self.component, check: manner });
            let verdict = match offences.get(manner) {
                Some(text) => Err(text.as_str().into()),
                None => Ok("as it was".into()),
            };
            self.record(manner, verdict);
        }
    }

    fn record(&mut self, check: &'static str, verdict: Verdict) -> bool {
        let (outcome, text) = match verdict {
            Ok(text) => (Outcome::Passed, text),
            Err(Unmet::Failed(text)) => (Outcome::Failed, text),
            Err(Unmet::Skipped(text)) => (Outcome::Skipped, text),
        };
        let check = Check { component: self.component.clone(), check, outcome, text };
        (self.watch)(CheckEvent::End(&check));
        self.checks.push(check);
        outcome == Outcome::Passed
    }

    pub fn finish(self) -> Vec<Check> {
        self.checks
    }
}
