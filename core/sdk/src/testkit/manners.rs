//! What a plugin must leave as it finds it: the state of the thread, and of the process that it is a guest of.

use std::collections::BTreeSet;

use super::process;
use crate::abi::float;

/// The checks that this comes to, in order.
pub(super) const CHECKS: [&str; 10] =
    ["floats", "modes", "folder", "umask", "signals", "locale", "files", "threads-left", "children", "prints"];

/// How much of it is looked at.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scope {
    /// The thread alone: others work in the process.
    Thread,
    /// The process too: nobody else works in it.
    Process,
}

impl Scope {
    /// Whether a check is within it.
    pub fn has(self, check: &str) -> bool {
        self == Scope::Process || ["floats", "modes"].contains(&check)
    }
}

/// The state at one moment: a value, or a set of things, for each check.
#[derive(PartialEq)]
pub(super) struct State(Vec<(&'static str, Value)>);

#[derive(PartialEq)]
enum Value {
    /// What must stay the same.
    Word(String),
    /// What must not grow.
    Set(BTreeSet<String>),
}

impl State {
    /// What is found now.
    pub fn now(scope: Scope) -> State {
        let mut found = vec![("floats", Value::Word(floats().into())), ("modes", Value::Word(modes()))];
        if scope == Scope::Process {
            let words = [
                ("folder", process::folder()),
                ("umask", process::umask()),
                ("signals", process::signals()),
                ("locale", process::locale()),
            ];
            found.extend(words.map(|(check, word)| (check, Value::Word(word))));
            let sets = [
                ("files", process::open_files()),
                ("threads-left", process::threads()),
                ("children", process::children()),
            ];
            found.extend(sets.map(|(check, set)| (check, Value::Set(set))));
        }
        State(found)
    }

    /// What is found after this state, and how it differs. Threads that are about to end are waited for.
    pub fn changes(&self, scope: Scope) -> Vec<(&'static str, String)> {
        let mut changes = self.until(&State::now(scope));
        for _ in 0..process::PATIENCE {
            if changes.iter().all(|(check, _)| *check != "threads-left") {
                break;
            }
            process::pause();
            changes = self.until(&State::now(scope));
        }
        float::reset();
        changes
    }

    fn until(&self, later: &State) -> Vec<(&'static str, String)> {
        let pairs = self.0.iter().zip(&later.0);
        pairs.filter_map(|((check, before), (_, after))| Some((*check, difference(before, after)?))).collect()
    }
}

fn difference(before: &Value, after: &Value) -> Option<String> {
    match (before, after) {
        (Value::Word(before), Value::Word(after)) => {
            (before != after).then(|| format!("`{after}`, which was `{before}`"))
        }
        (Value::Set(before), Value::Set(after)) => {
            let new: Vec<&str> = after.difference(before).map(String::as_str).collect();
            (!new.is_empty()).then(|| format!("{} that were not there before: {}", new.len(), new.join(", ")))
        }
        _ => None,
    }
}

fn floats() -> &'static str {
    if float::is_kept() {
        "nearest, subnormal numbers kept"
    } else {
        "another rounding, or subnormal numbers flushed to zero"
    }
}

/// libtorch's modes that it keeps for this thread.
#[cfg(feature = "torch")]
fn modes() -> String {
    let probe = tch::Tensor::from_slice(&[1.0f32]);
    let inference = probe.is_inference();
    let grad = !inference && (probe.set_requires_grad(true) * 2.0).requires_grad();
    format!("grad {grad}, inference {inference}, {} threads", tch::get_num_threads())
}

#[cfg(not(feature = "torch"))]
fn modes() -> String {
    String::new()
}
