//! The YAML language as data: mappings with their keys, forms, defaults and bounds. `anyflow-config` declares the kinds.
//!
//! One table serves the reader (unknown keys, missing keys, wrong values), the defaults, the JSON Schema and the
//! reference.

mod fields;
mod fill;
mod keys;
mod read;
mod reader;
mod reference;
mod schema;

use anyflow_config::{
    Family, Guidance, HeadLayers, Kinds, Network, ObjectiveConfig, OptimizerConfig, Sampling, ScheduleConfig,
    TimeDistribution,
};

pub(crate) use fields::{Fields, text};
pub(crate) use fill::fill;
pub(crate) use keys::{
    CONFLICT, DECODE, DENOISER, DIFFUSE, EMBED, ENCODE, EVALUATION, GENERATED, INPUT, JUDGE, MODEL, OBSERVED, OUTPUT,
    PAIR_NODE, PIPELINE, PLANE, PROMPT, SCORE, SCORER, SCORER_NODE, SCORING, STAGE, STREAM, TABLE, TASK, TRAINING, USE,
    VARIANT, VERSION, WEIGHTS_PART,
};
pub(crate) use reader::{Reader, value};
pub(crate) use reference::Reference;
pub use schema::schema;

/// Every family of kinds, in the order of the reference.
pub(crate) const FAMILIES: [&Family; 8] = [
    ScheduleConfig::FAMILY,
    Sampling::FAMILY,
    Guidance::FAMILY,
    Network::FAMILY,
    HeadLayers::FAMILY,
    ObjectiveConfig::FAMILY,
    TimeDistribution::FAMILY,
    OptimizerConfig::FAMILY,
];
