//! The plans: what the engine is handed. Everything is resolved, checked and serializable; nothing is a handle.
//!
//! Three jobs exist: run a pipeline, train, evaluate. All paths are as the engine shall open them.

mod evaluation;
mod model;
mod places;
mod run;
mod training;

pub use evaluation::{EvalPlan, Task, Variant};
pub use model::{Companion, Component, Denoiser, Form, Model, Prompt, Stream, Type};
pub use run::{Condition, Given, Input, Op, RunPlan, Scoring, Step, Value};
use serde::{Deserialize, Serialize};
pub use training::{ColumnRef, Generated, Scorer, Stage, Table, Taken, TrainPlan, Trained};

/// Version of the serialized form; the engine refuses another.
pub const PLAN_FORMAT: u32 = 1;

/// What the front hands to the engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "there is one job in a program")]
pub enum Job {
    /// Rows through a pipeline.
    Run(RunPlan),
    /// The stages of a training.
    Train(TrainPlan),
    /// Judged tasks.
    Eval(EvalPlan),
}
