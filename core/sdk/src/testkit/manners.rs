//! The state of thread and process that a plugin must leave unchanged.

use std::collections::BTreeSet;

use super::process;
use crate::abi::float;

/// The checks of this state, in order.
pub(super) const CHECKS: [&str; 10] =
    ["floats", "modes", "folder", "umask", "signals", "locale", "files", "threads-left", "children", "prints"];

/// Which part of the state is checked.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scope {
    /// The thread only: others work in the process.
    Thread,
    /// Thread and process: nobody else works in the process.
    Process,
}

impl Scope {
    /// True if the scope includes this check.
    pub fn has(self, check: &str) -> bool {
        self == Scope::Process || ["floats", "modes"].contains(&check)
    }
}

/// The state at one moment: a value or a set for each check.
#[derive(PartialEq)]
pub(super) struct State(Vec<(&'static str, Value)>);

#[derive(PartialEq)]
enum Value {
    /// A value that must stay the same.
    Word(String),
    /// A set that must not grow.
    Set(BTreeSet<String>),
}

impl State {
    /// The current state.
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

    /// Differences between this state and the current one. Waits for threads that are about to end.
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

/// libtorch's modes for this thread.
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
