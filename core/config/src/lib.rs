//! Every configurable kind, declared once: the Rust type that planner, plan and engine hold, its keys with their forms,
//! defaults and bounds, and the texts of the JSON Schema and of the reference.
//!
//! To add a kind, copy a neighbor in its file: [`sampler`] is a good example. The three macros of `declare.rs` read the
//! declarations: `keys!` a mapping with keys, `kinds!` a choice of `{kind: ..., ...}`, `words!` a choice of words.

#[macro_use]
mod declare;
mod family;
mod field;
mod form;
mod given;
pub mod guidance;
pub mod head;
pub mod network;
pub mod objective;
pub mod optimizer;
mod prediction;
pub mod sampler;
pub mod schedule;
pub mod times;

pub use family::{Family, Kind, KindDefault, Misordered};
pub use field::{Field, Keyed, Kinds, json};
pub use form::{Key, Mapping, Need, ValueForm, defaulted, optional, required};
pub use guidance::{Guidance, Scale};
pub use head::HeadLayers;
pub use network::NetworkConfig;
pub use objective::{ContrastiveLoss, ObjectiveConfig, Weight};
pub use optimizer::{Decay, OptimizerConfig};
pub use prediction::{Parameterization, Precision};
pub use sampler::{Resample, Sampler, Sampling};
pub use schedule::ScheduleConfig;
pub use times::{Density, Per, State, TimeDistribution};
