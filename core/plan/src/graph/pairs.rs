//! Scorers of a model, which compare two prompts.

use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::PromptNode;
use crate::plan::PairConfig;
use crate::problem::{Problem, problems};
use crate::source::SpannedString;
use crate::spec::{ModelSpec, unknown};

problems! {
    /// What can be wrong with a scorer that compares two prompts.
    pub(crate) enum PairProblem {
        /// A scorer compares a prompt that has no vector of the whole.
        /// Example: `scorers: {fit: {between: [picture, words]}}`, where `words` has `tokens` only.
        /// Cure: Add `vector` to the prompt, with a module that makes one.
        #[error("scorer `{scorer}` compares vectors, but prompt `{prompt}` has no `vector`")]
        NoVector { scorer: String, prompt: String },
    }
}

/// Resolves the scorers of a model; `None` for one that is wrong.
pub(super) fn resolve_pairs(
    spec: &ModelSpec,
    prompts: &IndexMap<String, PromptNode>,
    report: &mut Report,
) -> IndexMap<String, Option<PairConfig>> {
    let scorers = spec.scorers.iter();
    scorers
        .map(|(name, written)| {
            let plan = written.as_ref().and_then(|written| {
                let between = between(name, &written.between, prompts, report)?;
                Some(PairConfig { between, scale: written.scale })
            });
            (name.value.clone(), plan)
        })
        .collect()
}

/// Two prompts whose vectors have the same size.
fn between(
    scorer: &SpannedString,
    written: &[String],
    prompts: &IndexMap<String, PromptNode>,
    report: &mut Report,
) -> Option<[String; 2]> {
    let [one, other] = written else {
        let what = format!("`between` of scorer `{}`", scorer.value);
        let wanted = "two prompts".into();
        report.error(scorer.span, Problem::WrongCount { what, wanted, found: written.len() });
        return None;
    };
    let mut size = |prompt: &String| {
        let Some(node) = prompts.get(prompt) else {
            let name = SpannedString::new(prompt.clone(), scorer.span);
            unknown("prompt", &name, prompts.keys().map(String::as_str), report);
            return None;
        };
        let vector = node.plan.as_ref()?.encoded().and_then(|encoded| encoded.vector);
        if vector.is_none() {
            let problem = PairProblem::NoVector { scorer: scorer.value.clone(), prompt: prompt.clone() };
            report.error(scorer.span, problem);
        }
        vector
    };
    let (first, second) = (size(one), size(other));
    let (first, second) = (first?, second?);
    if first != second {
        let one = format!("that of prompt `{one}` has {first} numbers");
        let other = format!("that of prompt `{other}` has {second}");
        report.error(scorer.span, Problem::Mismatch { what: "vectors", one, other });
        return None;
    }
    Some([one.clone(), other.clone()])
}
