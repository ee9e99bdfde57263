//! Rule: guidance names existing conditions, and it has something to guide towards.

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Evaluation, Pipeline, has_column};
use crate::plan::{PromptConfig, Roles, StreamRole};
use crate::problem::{CodeEntry, problems};
use crate::source::SpannedString;
use crate::spec::{GuidanceSpec, InsteadSpec, unknown};

problems! {
    /// Guidance without anything to guide towards.
    pub(crate) enum GuidanceProblem {
        /// Joint guidance strengthens the relation between generated streams, and only one is generated.
        /// Example: `guidance: {kind: joint}` with `diffuse: [x]`.
        /// Cure: Generate or marginalize another stream, or remove `guidance`.
        #[error("joint guidance needs at least two generated streams, found {found}")]
        JointOfOne { found: usize },
        /// Guidance strengthens a condition, and there is none.
        /// Example: `guidance: {kind: cfg}` without `observe` and `condition`.
        /// Cure: Add a condition, or remove `guidance`.
        #[error("guidance needs `observe` or `condition`; add one or remove `guidance`")]
        NothingObserved {},
        /// A variant of an evaluation replaces a condition. Tasks say what their conditions are, so they replace them too.
        /// Example: `variants: {a: {guidance: {kind: cfg, instead: {words: other}}}}`.
        /// Cure: Write `instead` in the guidance of the evaluation or of a task.
        #[error("`instead` has no meaning in a variant; write it in the guidance of the evaluation or of a task")]
        InsteadInVariant {},
        /// The prompt that takes the place of a condition reads other arrays.
        /// Example: `guidance: {kind: cfg, instead: {words: picture}}` with `words` of texts and `picture` of images.
        /// Cure: Name a prompt with the codec of the condition, or made of the same prompts.
        #[error("prompt `{condition}` reads {wanted}; `{by}`, which takes its place, reads {found}")]
        InsteadOfAnother { condition: String, wanted: String, by: String, found: String },
        /// The data have no column for the prompt that takes the place of a condition.
        /// Example: `guidance: {kind: cfg, instead: {words: avoided}}` with `data` without a column of `avoided`.
        /// Cure: Add the column to `columns` of `data`.
        #[error("table `data` has no column for prompt `{by}`, which `instead` reads")]
        InsteadLacksColumn { by: String },
    }
}

pub(super) struct Guided;

impl Rule for Guided {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        for (_, spec, diffusion) in pipeline.diffusions() {
            if let Some(guidance) = &spec.roles.guidance {
                check(guidance, &diffusion.streams, report);
            }
        }
    }

    /// Guidance that tasks share, or that a variant has, need not apply to each of them.
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let Some(asked) = &evaluation.asked else { return };
        for (spec, task) in evaluation.tasks() {
            if let Some(own) = &spec.roles.guidance {
                check(own, &task.streams, report);
                let conditions: Vec<&str> = spec.roles.condition.iter().map(|(name, _)| name.value.as_str()).collect();
                replaced(own, &conditions, evaluation, report);
            }
        }
        if let Some(shared) = &evaluation.spec.guidance {
            let known = evaluation.model.conditions(&asked.denoiser);
            all_known("stream", &shared.conditions, &known, report);
            replaced(shared, &known, evaluation, report);
        }
        for (spec, variant) in evaluation.written_variants() {
            if let Some(guidance) = &spec.guidance {
                let known = evaluation.model_of(variant).conditions(&variant.denoiser);
                all_known("stream", &guidance.conditions, &known, report);
                if let Some(instead) = guidance.instead.first() {
                    report.error(instead.condition.span, GuidanceProblem::InsteadInVariant {});
                }
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        GuidanceProblem::codes()
    }
}

fn check(spec: &GuidanceSpec, roles: &Roles, report: &mut Report) {
    let observed: Vec<&str> = roles.names(StreamRole::is_condition).map(String::as_str).collect();
    if all_known("observed stream or prompt", &spec.conditions, &observed, report) && !spec.applies(roles) {
        let problem = if spec.is_joint() {
            GuidanceProblem::JointOfOne { found: roles.names(StreamRole::is_sampled).count() }
        } else {
            GuidanceProblem::NothingObserved {}
        };
        report.error(spec.span, problem);
    }
}

/// What a prompt reads, in words.
fn read(prompt: &PromptConfig) -> String {
    match prompt {
        PromptConfig::Encoded(encoded) => encoded.array.to_string(),
        PromptConfig::Joined(joined) => format!("the arrays of {}", joined.features.join(" and ")),
        PromptConfig::Numbers(numbers) => format!("{} numbers", numbers.numbers),
    }
}

/// A condition of an evaluation is replaced by another prompt of the data, which has the same arrays.
fn replaced(spec: &GuidanceSpec, conditions: &[&str], evaluation: &Evaluation, report: &mut Report) {
    let prompts = &evaluation.model.prompts;
    let plan = |name: &SpannedString| prompts.get(&name.value)?.plan.as_ref();
    for InsteadSpec { condition, by } in &spec.instead {
        if !conditions.contains(&condition.value.as_str()) {
            unknown("condition", condition, conditions.iter().copied(), report);
        } else if !prompts.contains_key(&by.value) {
            unknown("prompt", by, prompts.keys().map(String::as_str), report);
        } else if let (Some(wanted), Some(found)) = (plan(condition), plan(by))
            && !found.has_arrays_of(wanted)
        {
            let (wanted, found) = (read(wanted), read(found));
            let (condition, name) = (condition.value.clone(), by.value.clone());
            report.error(by.span, GuidanceProblem::InsteadOfAnother { condition, wanted, by: name, found });
        } else if let Some(table) = &evaluation.spec.data
            && !has_column(table, &by.value, evaluation.model)
        {
            report.error(by.span, GuidanceProblem::InsteadLacksColumn { by: by.value.clone() });
        }
    }
}

fn all_known(what: &str, names: &[SpannedString], known: &[&str], report: &mut Report) -> bool {
    let strangers: Vec<_> = names.iter().filter(|name| !known.contains(&name.value.as_str())).collect();
    strangers.iter().for_each(|name| unknown(what, name, known.iter().copied(), report));
    strangers.is_empty()
}
