//! The engine: schedules, parameterizations, samplers, noise, denoisers, objectives, batching.
//!
//! It diffuses named *streams*, tensors of a fixed shape per row, and knows nothing about their meaning. One noun, one
//! file:
//!
//! - [`Schedule`]: signal and noise of a stream at time t, in f64.
//! - [`Parameterization`]: the quantity that the network predicts (eps, x0, v or flow), and its
//!   conversions, [`Prediction`].
//! - [`Solver`]: a function that yields the [`SamplerTable`] of a sampler, one linear update per step. A step is only its
//!   coefficients, so rows at any step of any sampler share one network call.
//! - [`noise`]: counter-based normals keyed by the row, independent of the batch.
//! - [`Resample`]: RePaint's jumps back to more noise, as an option of any sampler.
//! - [`State`]: clean, noisy or absent, per stream and row; all masks derive from it.
//! - [`Guidance`]: the row again with fewer conditions, in the same network call.
//! - [`StreamSpec`]: a stream, and whether it is diffused, auxiliary or a prompt.
//! - [`Denoiser`]: a network over streams; [`Network`] lists the built-in ones, and [`build`] builds them.
//! - [`Tokens`]: the prompt and the context of a network; [`Site`]: a place in a network whose features can be read.
//! - [`denoising_loss`]: the training objective; a [`TimeDistribution`] draws states and times.
//! - [`Optimizer`]: fused AdamW with a learning-rate schedule, gradient clipping and an EMA of the weights.
//! - [`Engine`]: one compute thread that batches the rows of all requests step by step.
//!
//! Tables are computed in f64, the state of a row is f32, and every tensor stays on its device.

mod auxiliary;
mod batch;
mod branches;
mod caller;
mod deficit_round_robin;
mod denoiser;
mod engine;
mod error;
mod follow;
mod group;
mod guidance;
mod job;
mod lane;
pub mod network;
pub mod noise;
mod objective;
mod optimizer;
mod parameterization;
mod request;
mod sampler;
mod schedule;
mod site;
mod state;
mod stream;
mod tensor;
mod ticket;
mod tokens;
mod update;
mod worker;

pub use anyflow_config::{
    ContrastiveLoss, Density, Guidance, Network, Parameterization, Per, Precision, Resample, Sampling, Site, SiteSpec,
    State, TimeDistribution, Weight,
};
pub use anyflow_native::{Globals, InferenceMode};
pub use auxiliary::EmbeddingWeight;
pub use caller::Profile;
pub use denoiser::{Denoiser, DenoiserInput, TimeRun, Times};
pub use engine::{Engine, EngineConfig, EngineHandle, EngineStats};
pub use error::{EngineError, Result};
pub use follow::{Followed, SampledStep};
pub use guidance::Branch;
pub use network::{BuildOptions, MlpLayers, Modulation, Prompted, ResidualMlp, StartValues, TimeFeatures, build};
pub use objective::{Draw, DrawKey, Draws, LossOptions, LossOutput, Prompting, denoising_loss, info_nce, loss_weight};
pub use optimizer::Optimizer;
pub use parameterization::Prediction;
pub use request::{Observed, Request, Sampled};
pub use sampler::{Point, SamplerTable, Solver, TableStep, Update};
pub use schedule::Schedule;
pub use state::States;
pub use stream::{PromptUse, StreamKind, StreamSpec, check_streams};
pub(crate) use tensor::TensorExt;
pub use ticket::Ticket;
pub use tokens::Tokens;
