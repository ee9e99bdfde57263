//! Plans: the input of the engine, resolved, checked and serializable.
//!
//! There are three jobs: run a pipeline, train, evaluate. All paths are those that the engine opens.

mod evaluation;
mod model;
mod paths;
mod run;
mod training;

pub use evaluation::{EvalPlan, Task, Variant};
pub use model::{Component, DenoiserConfig, Form, Model, PromptConfig, Stream, Type};
pub use run::{Condition, Given, Input, Op, RunPlan, Scoring, Step, Value};
use serde::{Deserialize, Serialize};
pub use training::{ColumnRef, Generated, ScorerConfig, Stage, Table, TrainPlan, Trained, WeightsPart};

/// Version of the serialized form; the engine refuses another.
pub const PLAN_FORMAT: u32 = 2;

/// A job for the engine.
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
