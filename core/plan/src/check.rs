//! The second of three passes: the rules, one file each. A rule takes a resolved graph and reports violations.

mod absent;
mod checkpoint;
mod classes;
mod constants;
mod contrast;
mod cycle;
mod given;
mod guidance;
pub(crate) mod inputs;
mod judges;
mod late;
mod network_streams;
mod objective;
mod planes;
mod prompts;
mod reads;
mod sources;
mod spacing;
mod stage_columns;
mod steps;
mod task_columns;
mod tasks;
mod trainable;
mod types;
mod unused;
mod vectors;

use crate::error::Report;
use crate::graph::{Evaluation, ModelGraph, Pipeline, Training};
use crate::problem::CodeEntry;
use crate::spec::ModelSpec;

/// A rule: what it checks in each kind of file, and the codes of its own problems.
pub(crate) trait Rule: Sync {
    /// Checks a model.
    fn model(&self, _spec: &ModelSpec, _model: &ModelGraph, _report: &mut Report) {}

    /// Checks a pipeline.
    fn pipeline(&self, _pipeline: &Pipeline, _report: &mut Report) {}

    /// Checks a training.
    fn training(&self, _training: &Training, _report: &mut Report) {}

    /// Checks an evaluation.
    fn evaluation(&self, _evaluation: &Evaluation, _report: &mut Report) {}

    /// The codes of the problems that the rule declares.
    fn codes(&self) -> Vec<CodeEntry> {
        Vec::new()
    }
}

/// All rules. A new rule is a file and two lines here: its module and its entry.
pub(crate) static RULES: &[&dyn Rule] = &[
    &absent::Absent,
    &checkpoint::Checkpoint,
    &classes::Classes,
    &constants::Constants,
    &contrast::Contrast,
    &cycle::Cycle,
    &given::GivenStreams,
    &guidance::Guided,
    &judges::Judges,
    &late::Late,
    &network_streams::NetworkStreams,
    &objective::ObjectiveStreams,
    &planes::Planes,
    &prompts::Prompts,
    &reads::Reads,
    &sources::Sources,
    &spacing::SpacingRule,
    &stage_columns::StageColumns,
    &steps::Steps,
    &task_columns::TaskColumns,
    &tasks::Tasks,
    &trainable::Trainable,
    &types::Types,
    &unused::Unused,
    &vectors::Vectors,
];
