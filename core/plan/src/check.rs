//! The second of three passes: the rules, one file each. A rule takes a resolved graph and reports violations.

mod absent;
mod checkpoint;
mod classes;
mod constants;
mod contrast;
mod cycle;
mod dtypes;
mod given;
mod guidance;
pub(crate) mod inputs;
mod judges;
mod late;
mod network_streams;
mod not_in_trainings;
mod objective;
mod planes;
mod prompts;
mod reads;
mod rule;
mod similarity;
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

pub(crate) use rule::Rule;

/// All rules. A new rule is a file and two lines here: its module and its entry.
pub(crate) static RULES: &[&dyn Rule] = &[
    &absent::Absent,
    &checkpoint::Checkpoint,
    &classes::Classes,
    &constants::Constants,
    &contrast::Contrast,
    &cycle::Cycle,
    &dtypes::Dtypes,
    &given::GivenStreams,
    &guidance::Guided,
    &judges::Judges,
    &late::Late,
    &network_streams::NetworkStreams,
    &not_in_trainings::NotInTrainings,
    &objective::ObjectiveStreams,
    &planes::Planes,
    &prompts::Prompts,
    &reads::Reads,
    &similarity::Similarity,
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
