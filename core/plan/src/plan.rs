//! Plans: the input of the engine, resolved, checked and serializable.
//!
//! There are three jobs: run a pipeline, train, evaluate. All paths are those that the engine opens.

mod diffusion;
mod evaluation;
mod flow;
mod model;
mod paths;
mod prompt;
mod run;
mod training;
mod value;

pub use diffusion::{Diffusion, RoleValue, Roles, StreamRole};
pub use evaluation::{EvalPlan, HiddenPart, Task, TaskPlane, Variant};
pub use model::{ArrayMaker, Checkpoint, DenoiserConfig, Model, Stream, WeightsPart};
pub(crate) use prompt::POOLED;
pub use prompt::{EncodedPrompt, JoinedPrompt, JoinedVector, JoinedVectors, NumbersPrompt, PairConfig, PromptConfig};
pub use run::{Constant, Input, Op, RunPlan, Scoring, Step, Value};
use serde::{Deserialize, Serialize};
pub use training::{ColumnRef, Generated, ScorerConfig, Stage, Table, TrainPlan, Trained};
pub use value::{Component, FILES, Form, Type};

/// Version of the serialized form; both programs refuse [another](crate::protocol::VERSION).
pub const PLAN_FORMAT: u32 = 4;

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
