//! Every configurable kind, declared once: the Rust type that planner, plan and engine hold, its keys with their forms,
//! defaults and bounds, and the texts of the JSON Schema and of the reference.
//!
//! To add a kind, copy a neighbor in its file: [`sampler`] is a good example. The three macros of `declare.rs` read the
//! declarations: `keys!` a mapping with keys, `kinds!` a choice of `{kind: ..., ...}`, `words!` a choice of words.

#[macro_use]
mod declare;
mod absent;
pub mod auxiliary;
mod field;
mod form;
mod given;
pub mod guidance;
pub mod network;
pub mod objective;
mod observed;
pub mod optimizer;
mod pair;
mod prediction;
pub mod sampler;
mod sampling;
pub mod schedule;
mod site;
pub mod spacing;
mod stage;
mod task;
pub mod times;
mod vectors;

pub use absent::AbsentPrompt;
pub use auxiliary::{Aggregation, AggregationSchedule, Auxiliary, Embedding, Head, HeadLayers, HeadLoss, HeadMisfit};
pub use field::{Field, Keyed, Kinds, Mapped, json};
pub use form::{
    Family, Key, Kind, KindDefault, Mapping, Misordered, Need, PartKind, ValueForm, defaulted, joined, optional,
    required,
};
pub use guidance::{Guidance, Scale};
pub use network::Network;
pub use objective::{
    ContrastiveLoss, DenoiserObjective, Measurement, ModuleObjective, ObjectiveConfig, ObjectiveFacts, ScorerObjective,
    StreamObjective, Weight,
};
pub use observed::Given;
pub use optimizer::{Decay, OptimizerConfig};
pub use pair::PairScorer;
pub use prediction::{Dtype, Parameterization, Precision};
pub use sampler::{Resample, Sampler};
pub use sampling::{Sampling, SpacingMisfit};
pub use schedule::{Betas, ScheduleConfig};
pub use site::{Site, SiteSpec};
pub use spacing::{Spacing, SpacingEnd, SpacingLaw, SpacingStart, StepLaw, Stride};
pub use stage::StageOptions;
pub use task::{EvaluationOptions, ScoreTaskOptions, TaskOptions};
pub use times::{Density, Per, State, TimeDistribution};
pub use vectors::TimeVectors;
