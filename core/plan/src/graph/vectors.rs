//! Vectors that join the time of a denoiser, resolved against the prompts of the model.

use anyflow_config::TimeVectors;
use indexmap::IndexMap;

use crate::error::Report;
use crate::graph::PromptNode;
use crate::plan::{JoinedVector, JoinedVectors, POOLED, PromptConfig};
use crate::source::SpannedString;
use crate::spec::{DenoiserSpec, unknown};

/// Resolves `vectors` of a denoiser; unknown ones are reported and left out.
pub(super) fn resolve_vectors(
    spec: &DenoiserSpec,
    written: &TimeVectors,
    prompts: &IndexMap<String, PromptNode>,
    report: &mut Report,
) -> JoinedVectors {
    let known: IndexMap<String, JoinedVector> = prompts.iter().filter_map(|(name, node)| vector(name, node)).collect();
    let mut from = IndexMap::new();
    for name in &written.from {
        match known.get(name) {
            Some(vector) => drop(from.insert(name.clone(), vector.clone())),
            // A wrong prompt was reported.
            None if prompts
                .get(name.trim_end_matches(&format!(".{POOLED}")))
                .is_some_and(|node| node.plan.is_none()) => {}
            None => {
                let name = SpannedString::new(name.clone(), spec.name.span);
                unknown("vector", &name, known.keys().map(String::as_str), report);
            }
        }
    }
    JoinedVectors { from, by: written.by, waves: written.waves }
}

/// The vector of a prompt, and its name: that of the prompt if the prompt has nothing else.
fn vector(prompt: &str, node: &PromptNode) -> Option<(String, JoinedVector)> {
    let plan = node.plan.as_ref()?;
    let is_numbers = matches!(plan, PromptConfig::Numbers(_));
    let is_alone = plan.encoded().is_none_or(|encoded| encoded.tokens.is_none());
    let name = if is_alone { prompt.to_string() } else { format!("{prompt}.{POOLED}") };
    Some((name, JoinedVector { prompt: prompt.to_string(), size: plan.vector()?, is_numbers }))
}
