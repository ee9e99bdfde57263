//! What a check comes to.

use std::collections::BTreeMap;
use std::fmt;

use super::manners::{CHECKS, Scope, State};
use super::prints;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The plugin keeps this promise.
    Passed,
    /// It does not; its author must act.
    Failed,
    /// It could not be tried; the text says why, and what would allow it.
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

/// A check that came to its end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// Codec or module; empty for the plugin as a whole.
    pub component: String,
    /// Which check: one of a fixed set of words.
    pub check: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found.
    pub text: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Check { component, check, outcome, text } = self;
        let of = if component.is_empty() { String::new() } else { format!("{component} ") };
        write!(f, "{outcome} {of}{check}: {text}")
    }
}

/// What the kit is doing, told while it does it: a plugin may end the process, and then this was the last word.
#[derive(Debug)]
pub enum Step<'a> {
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

/// What a check found, or why it did not pass.
pub(super) type Verdict = Result<String, Unmet>;

/// Runs checks one by one and remembers what they came to.
pub(super) struct Protocol<'a> {
    watch: &'a mut dyn FnMut(Step<'_>),
    scope: Scope,
    component: String,
    checks: Vec<Check>,
    /// What a check left otherwise than it found it: first offences, by the check of manners that they fail.
    offences: BTreeMap<&'static str, String>,
}

impl<'a> Protocol<'a> {
    pub fn new(scope: Scope, watch: &'a mut dyn FnMut(Step<'_>)) -> Self {
        Protocol { watch, scope, component: String::new(), checks: Vec::new(), offences: BTreeMap::new() }
    }

    /// The checks that follow are of this component.
    pub fn enter(&mut self, component: &str) {
        self.component = component.to_string();
    }

    /// Runs a check; true if it passed.
    pub fn check(&mut self, check: &'static str, body: impl FnOnce() -> Verdict) -> bool {
        (self.watch)(Step::Begin { component: &self.component, check });
        let before = State::now(self.scope);
        let (verdict, printed) = match self.scope {
            Scope::Process => prints::printed_by(body),
            Scope::Thread => (body(), 0),
        };
        let printed = (printed > 0).then(|| ("prints", format!("{printed} bytes on standard output")));
        for (manner, text) in before.changes(self.scope).into_iter().chain(printed) {
            self.offences.entry(manner).or_insert_with(|| format!("after `{check}`: {text}"));
        }
        self.told(check, verdict)
    }

    /// Tells how the component left the thread, and the process, in all checks so far.
    pub fn manners(&mut self) {
        let offences = std::mem::take(&mut self.offences);
        let scope = self.scope;
        for manner in CHECKS.into_iter().filter(|manner| scope.has(manner)) {
            (self.watch)(Step::Begin { component: &self.component, check: manner });
            let verdict = match offences.get(manner) {
                Some(text) => Err(text.as_str().into()),
                None => Ok("as it was".into()),
            };
            self.told(manner, verdict);
        }
    }

    fn told(&mut self, check: &'static str, verdict: Verdict) -> bool {
        let (outcome, text) = match verdict {
            Ok(text) => (Outcome::Passed, text),
            Err(Unmet::Failed(text)) => (Outcome::Failed, text),
            Err(Unmet::Skipped(text)) => (Outcome::Skipped, text),
        };
        let check = Check { component: self.component.clone(), check, outcome, text };
        (self.watch)(Step::End(&check));
        self.checks.push(check);
        outcome == Outcome::Passed
    }

    pub fn finish(self) -> Vec<Check> {
        self.checks
    }
}
