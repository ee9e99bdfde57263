//! The report for people.

use std::fmt::{self, Display};

use super::{MisshapenTensor, MissingTensor, PartReport, WeightsReport};

/// Why weights cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file that it is about, or its part of several files; `None` for the model.
    pub path: Option<String>,
    /// What is wrong, and what to do.
    pub text: String,
}

/// The most names that a list shows.
pub(super) const SHOWN: usize = 10;

impl PartReport {
    /// What does not fit, a line per kind.
    pub fn remarks(&self) -> Vec<String> {
        let kinds = [
            ("missing", listed(&self.missing)),
            ("another shape", listed(&self.misshapen)),
            ("unused", listed(&self.unused)),
            ("unused (ignorable)", listed(&self.ignorable)),
        ];
        kinds
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| format!("{kind}: {names}"))
            .collect()
    }
}

impl WeightsReport {
    /// What keeps the weights from being used; `None` if nothing does.
    pub fn refusal(&self) -> Option<Refusal> {
        if !self.uncovered.is_empty() {
            let text = format!(
                "`checkpoint` names no file for {} of {} weights: {}; add the part that holds them",
                self.uncovered.len(),
                self.weights,
                listed(&self.uncovered)
            );
            return Some(Refusal { path: None, text });
        }
        let part = self
            .parts
            .iter()
            .find(|part| !(part.missing.is_empty() && part.misshapen.is_empty() && part.unused.is_empty()))?;
        let wrong = PartReport { ignorable: Vec::new(), ..part.clone() };
        let text = format!(
            "does not belong to this model: {}. Correct the model, or `from`, `part` or `map` of `{}`",
            wrong.remarks().join("; "),
            part.part
        );
        Some(Refusal { path: Some(part.files.join(", ")), text })
    }
}

/// At most [`SHOWN`] of them, and how many more there are.
fn listed<T: Display>(items: &[T]) -> String {
    let shown = items.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

impl Display for MissingTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.near {
            Some(near) => write!(f, "{} (did you mean, in the file: {near})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl Display for MisshapenTensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MisshapenTensor { name, from, wanted, found } = self;
        write!(f, "{name} is {found:?}, the model wants {wanted:?}")?;
        if name.ends_with(from.as_str()) { Ok(()) } else { write!(f, " (in the file: {from})") }
    }
}
