//! Companions: streams that a denoiser has beside the diffused ones and never diffuses. What is known of one is added,
//! encoded, into the process of a diffused stream; or it is read from the features of the network; or both.
//!
//! Chen et al. 2024, "Diffusion models for multi-task generative modeling". With b_t = sum_i gamma_i(t) E_i(x_i) over the
//! companions of a stream, their chain is z_t = y_t + b_t, where y_t is the plain diffusion of the stream: so schedules,
//! samplers and parameterizations stay as they are, and only what the network sees is moved by b_t.

use serde::{Deserialize, Serialize};

use crate::{EngineError, Law, Result};

/// A stream that is not diffused, by what ties it to those that are. One without any tie takes no part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Companion {
    /// How its encoding is added into a diffused stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Aggregation>,
    /// How it is read from features. Without a head it is given or absent, never generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadConfig>,
}

/// How the encoding E(x) of a companion is added into a diffused stream.
///
/// E is fixed, so that it cannot collapse: the identity where the shapes are equal, else a linear map with normal weights
/// that follow from the two streams' names, which gives E(x) unit variance. The null code, of a companion that is absent,
/// is 0.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Aggregation {
    /// The diffused stream.
    pub into: String,
    /// w of the law.
    pub weight: f64,
    /// How the weight changes with time.
    #[serde(default)]
    pub law: Law,
    /// The probability that training leaves the code out of a row and still asks for the companion: a head that could
    /// always read the code would learn nothing else.
    #[serde(default = "default_dropout")]
    pub dropout: f64,
}

fn default_dropout() -> f64 {
    0.3
}

/// How a companion is read from the features of the network.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// The site whose features it reads.
    pub reads: String,
    /// What it is.
    pub network: HeadNetwork,
    /// How far off counts, and what the head's output means.
    pub loss: HeadLoss,
    /// Of its loss, beside the denoising loss of the diffused streams.
    #[serde(default = "default_weight")]
    pub weight: f64,
    /// Weight in its loss of a row that the companion's own code is added into, beside 1 of one without. There it has little to
    /// learn: with less than 1 it learns to tell noise from codes no worse than a network that never sees any.
    #[serde(default = "default_own")]
    pub own: f64,
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
    /// A hidden layer over all features; of maps, over the mean of each channel; of tokens, over their mean.
    Mlp {
        /// The width of the hidden layer.
        #[serde(default = "default_hidden")]
        width: i64,
    },
    /// Two convolutions, from a map of features to a map of the same size.
    Conv {
        /// The channels between them.
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

/// How far off a head is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadLoss {
    /// The companion is a class, `[class]`: a one-hot vector, centred and scaled to the unit variance that it has where
    /// classes are equally frequent. What the head says goes through a softmax and is brought to the same form, so that
    /// not to know the class is 0.
    CrossEntropy,
    /// The mean of squares over a row's elements.
    Mse,
    /// 1 - cosine.
    Cosine,
}

impl Companion {
    /// Refuses numbers without a meaning.
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
            Some(HeadConfig { own, .. }) if !(0.0..=1.0).contains(own) => bad("own", "from 0 to 1", own.to_string()),
            Some(HeadConfig { network: HeadNetwork::Mlp { width } | HeadNetwork::Conv { width }, .. })
                if *width < 1 =>
            {
                bad("width", "at least 1", width.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// Mean and deviation of a coordinate of a one-hot vector of so many equally frequent classes.
pub(crate) fn class_moments(classes: i64) -> (f64, f64) {
    let share = 1.0 / classes as f64;
    (share, (share * (1.0 - share)).sqrt())
}
