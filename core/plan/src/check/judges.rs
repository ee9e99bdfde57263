//! Rule: every generated stream of a task has a judge, which takes decoded arrays; judges that are modules have weights.
//! A judge without `weights` is reported as any missing key.

use crate::check::Rule;
use crate::component::need_role;
use crate::descriptor::Role;
use crate::error::Report;
use crate::graph::{Evaluation, ScorerProblem};
use crate::plan::ScorerConfig;
use crate::problem::{CodeEntry, Problem, problems};
use crate::spec::{JudgeSpec, TaskSpec};

problems! {
    /// What can be wrong with judges.
    pub(crate) enum JudgeProblem {
        /// A task of an evaluation generates a stream that no judge can score.
        /// Example: `generate: [x]` without `x` under `judges`.
        /// Cure: Add a judge for the stream, or list the stream under `marginalize`.
        #[error("task `{task}` generates `{stream}`, but `judges` has no `{stream}`")]
        NoJudge { task: String, stream: String },
    }
}

pub(super) struct Judges;

impl Rule for Judges {
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        spec.tasks.iter().chain(&spec.conflicts).for_each(|task| judged(task, evaluation, report));
        for (judge, scorer) in &evaluation.judges {
            if let Some(scorer) = scorer {
                weights(judge, scorer, report);
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        JudgeProblem::codes()
    }
}

fn judged(task: &TaskSpec, evaluation: &Evaluation, report: &mut Report) {
    if task.score.is_some() {
        return;
    }
    for name in &task.roles.generate {
        let Some(stream) = evaluation.model.streams.get(&name.value) else { continue };
        if !evaluation.spec.judges.iter().any(|judge| judge.stream.value == name.value) {
            let task = task.name.value.clone();
            report.error(name.span, JudgeProblem::NoJudge { task, stream: name.value.clone() });
        }
        if let Some(module) = &stream.module {
            need_role(module.descriptor, Role::Decode, &module.placed.component, name.span, report);
        }
    }
}

fn weights(judge: &JudgeSpec, scorer: &ScorerConfig, report: &mut Report) {
    match (&scorer.module, &judge.weights) {
        (Some(_), None) => {
            let within = format!("judge `{}`", judge.stream.value);
            report.error(judge.stream.span, Problem::MissingKey { key: "weights".into(), within });
        }
        (None, Some(path)) => {
            report.warning(path.span, ScorerProblem::WeightsOfCodec { scorer: "judge" });
        }
        _ => {}
    }
}
