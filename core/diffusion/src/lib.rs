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
//! - [`Denoiser`]: a network over streams; [`Network`] lists the built-in ones.
//! - [`Auxiliary`]: an auxiliary stream, embedded into a diffused stream or predicted from features by a head.
//! - [`Tokens`]: the prompt and the context of a network; [`Site`]: a place in a network whose features can be read.
//! - [`denoising_loss`]: the training objective; a [`TimeDistribution`] draws states and times.
//! - [`Optimizer`]: fused AdamW with a learning-rate schedule, gradient clipping and an EMA of the weights.
//! - [`Engine`]: one compute thread that batches the rows of all requests step by step.
//!
//! Tables are computed in f64, the state of a row is f32, and every tensor stays on its device.

mod aggregation;
mod auxiliary;
mod batch;
mod branches;
mod caller;
mod deficit_round_robin;
mod denoiser;
mod engine;
mod error;
mod group;
mod guidance;
mod job;
mod lane;
pub mod network;
pub mod noise;
mod objective;
mod optimizer;
mod parameterization;
mod prompted;
mod request;
mod sampler;
mod schedule;
mod site;
mod state;
mod tensor;
mod ticket;
mod tokens;
mod update;
mod worker;

pub use aggregation::AggregationSchedule;
pub use anyflow_config::{
    ContrastiveLoss, Density, Guidance, Parameterization, Per, Precision, Resample, Sampling, State, TimeDistribution,
    Weight,
};
pub use anyflow_native::{Globals, InferenceMode};
pub use auxiliary::{Aggregation, Auxiliary, HeadConfig, HeadLoss, HeadNetwork};
pub use caller::Profile;
pub use denoiser::{Denoiser, DenoiserInput, StreamSpec, TimeRun, Times, check_streams};
pub use engine::{Engine, EngineConfig, EngineHandle, EngineStats};
pub use error::{EngineError, Result};
pub use guidance::Branch;
pub use network::{
    BuildOptions, CoupledConfig, DualStreamConfig, EnvironmentConfig, Modulation, Network, Reading, ResidualMlpConfig,
    TimeFeatures, TransformerConfig, UnetConfig, UnetMlpConfig, build, build_joined, build_prompted,
};
pub use objective::{Draw, DrawKey, Draws, LossOptions, LossOutput, Prompting, denoising_loss, info_nce, loss_weight};
pub use optimizer::Optimizer;
pub use parameterization::Prediction;
pub use prompted::Prompted;
pub use request::{Observed, Request, Sampled};
pub use sampler::{SamplerTable, Solver, TableStep, Update};
pub use schedule::Schedule;
pub use site::{Site, SiteSpec};
pub use state::States;
pub(crate) use tensor::TensorExt;
pub use ticket::Ticket;
pub use tokens::Tokens;
