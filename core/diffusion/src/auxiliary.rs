//! Auxiliary streams: streams of a denoiser that are never diffused. The embedding of an auxiliary stream is added into
//! a diffused stream, or a head predicts the auxiliary stream from the network's features, or both.
//!
//! Chen et al. 2024, "Diffusion models for multi-task generative modeling". With b_t = sum_i gamma_i(t) E_i(x_i) over
//! the auxiliary streams of a stream, their chain is z_t = y_t + b_t with y_t the plain diffusion of the stream.
//! Schedules, samplers and parameterizations therefore stay as they are; only the network's input is shifted by b_t.

use serde::{Deserialize, Serialize};

use crate::{AggregationSchedule, EngineError, Result};

/// An auxiliary stream, by its connections to the diffused streams. Without a connection it has no effect.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Auxiliary {
    /// How its embedding is added into a diffused stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregation>,
    /// How a head predicts it from features. Without a head it is observed or absent, never generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadConfig>,
}

/// How the embedding E(x) of an auxiliary stream is added into a diffused stream.
///
/// E is fixed, so that it cannot collapse: the identity if the shapes are equal, otherwise a linear map with normal
/// weights keyed by the names of the two streams, which gives E(x) unit variance. The embedding of an absent auxiliary
/// stream is 0.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregation {
    /// The diffused stream.
    pub into: String,
    /// w of the aggregation schedule.
    pub weight: f64,
    /// How the weight changes with time.
    #[serde(default)]
    pub law: AggregationSchedule,
    /// The probability that training drops the embedding from a row and still predicts the auxiliary stream: a head
    /// that always sees the embedding learns nothing else.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
}

fn default_dropout() -> f64 {
    0.3
}

/// How a head predicts an auxiliary stream from the features of the network.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// The site whose features the head takes as input.
    pub reads: String,
    /// The layers of the head.
    pub network: HeadNetwork,
    /// The loss, which also fixes the meaning of the head's output.
    pub loss: HeadLoss,
    /// Weight of the loss next to the denoising loss of the diffused streams.
    #[serde(default = "default_weight")]
    pub weight: f64,
    /// Weight of a row that contains the stream's own embedding, relative to 1 for a row without it. Such a row teaches
    /// the head little: with a weight below 1 the head predicts as well from rows without an embedding as a network
    /// that never sees one.
    #[serde(default = "default_own")]
    pub embedding_weight: f64,
}

fn default_weight() -> f64 {
    0.1
}

fn default_own() -> f64 {
    1.0
}

/// The layers of a head.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HeadNetwork {
    /// One hidden layer over all features. Maps are averaged per channel, tokens over the token axis.
    Mlp {
        /// The width of the hidden layer.
        #[serde(default = "default_hidden")]
        width: i64,
    },
    /// Two convolutions, from a feature map to a map of the same size.
    Conv {
        /// The channels between the convolutions.
        #[serde(default = "default_channels")]
        width: i64,
    },
}

fn default_hidden() -> i64 {
    128
}

fn default_channels() -> i64 {
    64
}

/// The loss of a head.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadLoss {
    /// Cross-entropy. The auxiliary stream is a class, `[class]`: a one-hot vector, centred and scaled to the unit
    /// variance of equally frequent classes. The head's output goes through a softmax and the same normalization, so
    /// that 0 stands for an unknown class.
    CrossEntropy,
    /// Mean squared error over the elements of a row.
    Mse,
}

impl Auxiliary {
    /// Rejects numbers out of range.
    pub(crate) fn check(&self) -> Result<()> {
        let bad = |field, wanted, found: String| Err(EngineError::Config { field, wanted, found });
        if let Some(Aggregation { weight, dropout, .. }) = &self.aggregate {
            if !(weight.is_finite() && *weight >= 0.0) {
                return bad("weight", "at least 0", weight.to_string());
            }
            if !(0.0..=1.0).contains(dropout) {
                return bad("dropout", "from 0 to 1", dropout.to_string());
            }
        }
        match &self.head {
            Some(HeadConfig { weight, .. }) if !(weight.is_finite() && *weight >= 0.0) => {
                bad("weight", "at least 0", weight.to_string())
            }
            Some(HeadConfig { embedding_weight, .. }) if !(0.0..=1.0).contains(embedding_weight) => {
                bad("embedding_weight", "from 0 to 1", embedding_weight.to_string())
            }
            Some(HeadConfig { network: HeadNetwork::Mlp { width } | HeadNetwork::Conv { width }, .. })
                if *width < 1 =>
            {
                bad("width", "at least 1", width.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// Mean and standard deviation of a coordinate of a one-hot vector over equally frequent classes.
pub(crate) fn class_moments(classes: i64) -> (f64, f64) {
    let share = 1.0 / classes as f64;
    (share, (share * (1.0 - share)).sqrt())
}
