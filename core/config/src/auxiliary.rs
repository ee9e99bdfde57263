//! Auxiliary streams of a denoiser, which are never diffused: their embedding is added into a diffused stream, or a head
//! predicts them from the network's features, or both.

use serde::{Deserialize, Serialize};

use crate::ValueForm;

const COUNT: ValueForm = ValueForm::integer(1, 100_000);
const AMOUNT: ValueForm = ValueForm::number(0.0, 1_000.0);

/// An auxiliary stream, by its connections to the diffused streams. Without a connection it has no effect.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Auxiliary {
    /// How its embedding is added into a diffused stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate: Option<Embedding>,
    /// How a head predicts it. Without a head it is observed or absent, never generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
}

impl Auxiliary {
    /// True if it is a class.
    pub fn is_class(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.loss == HeadLoss::CrossEntropy)
    }
}

/// The embedding E(x) of an auxiliary stream, added into a diffused stream.
///
/// E is fixed, so that it cannot collapse: the identity if the shapes are equal, otherwise a linear map with normal
/// weights keyed by the names of the two streams, which gives E(x) unit variance. The embedding of an absent auxiliary
/// stream is 0.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Embedding {
    /// When and how much.
    #[serde(flatten)]
    pub aggregation: Aggregation,
    /// The diffused stream.
    pub into: String,
}

keys! {
    /// The weight of an embedding over time. In training, a head that always sees the embedding learns nothing else,
    /// so the embedding is left out of some rows, and the head still predicts the auxiliary stream.
    pub struct Aggregation("aggregate") {
        /// Weight w of the embedding in the sum.
        weight: f64 [AMOUNT];
        /// When the embedding is added: `start` before the first noising step, `bump` mid-process only.
        law: AggregationSchedule = AggregationSchedule::Start;
        /// Probability that training leaves the embedding out of a row, so that a head cannot copy it.
        dropout: f64 [ValueForm::FRACTION] = 0.3;
    }
}

words! {
    /// gamma(t) in z_t = a z_0 + gamma E(x) + s eps: Chen et al. 2024, "Diffusion models for multi-task generative
    /// modeling". Their chain z_t = sqrt(alpha_t) (z_{t-1} + w_t E(x)) + sqrt(1 - alpha_t) eps has this marginal with w_t =
    /// gamma_t / sqrt(alpha_t) - gamma_{t-1}, gamma_0 = 0. The paper does not state its weights.
    pub enum AggregationSchedule default Start {
        /// gamma = w a: everything is added in the first step, so the diffused variable is z_0 + w E(x).
        Start = "start",
        /// gamma = 2 w a s: in the middle of the process, and nothing at its ends.
        Bump = "bump",
    }
}

keys! {
    /// A head: layers that predict an auxiliary stream from features of a denoiser. A row that contains the stream's own
    /// embedding teaches the head little: with an `embedding_weight` below 1 the head predicts as well from rows without
    /// an embedding as a network that never sees one. In a plan, `reads` is the site alone.
    pub struct Head("head") {
        /// Features to use: `denoiser.site`, for example `digits.middle`.
        reads: String;
        /// Layers of the head.
        network: HeadLayers = HeadLayers::default();
        /// Loss; `cross-entropy` for a class.
        loss: HeadLoss;
        /// Weight of its loss relative to the denoising loss.
        weight: f64 [AMOUNT] = 0.1;
        /// Weight in its loss of rows into which its own embedding is added; other rows have weight 1.
        embedding_weight: f64 [ValueForm::FRACTION] = 1.0;
    }
}

kinds! {
    /// The layers of a head.
    pub enum HeadLayers("network of a head", "head-network") default Mlp {
        /// One hidden layer over all features; maps and tokens are averaged first.
        Mlp = "mlp" {
            /// Width of the hidden layer.
            width: i64 [COUNT] = 128;
        }

        /// Two convolutions, from a feature map to a map of the same size.
        Conv = "conv" {
            /// Channels between the convolutions.
            width: i64 [COUNT] = 64;
        }
    }
}

words! {
    /// The loss of a head, which also fixes the meaning of the head's output.
    pub enum HeadLoss default CrossEntropy {
        /// Cross-entropy. The auxiliary stream is a class, `[class]`: a one-hot vector, centred and scaled to the unit
        /// variance of equally frequent classes. The head's output goes through a softmax and the same normalization, so
        /// that 0 stands for an unknown class.
        CrossEntropy = "cross-entropy",
        /// Mean squared error over the elements of a row.
        Mse = "mse",
    }
}

/// Why a head cannot predict a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeadMisfit {
    /// Cross-entropy needs a stream `[class]`.
    Loss,
    /// Convolutions need features of the size of the stream.
    Size,
    /// A head takes features `[feature]`, `[token, feature]` or `[channel, height, width]`.
    Axes,
}

impl Head {
    /// Why this head cannot predict a stream of shape `target` from features of this shape, if it cannot.
    pub fn misfit(&self, features: &[i64], target: &[i64]) -> Option<HeadMisfit> {
        match (&self.network, features, target) {
            (_, _, [_, _, ..]) if self.loss == HeadLoss::CrossEntropy => Some(HeadMisfit::Loss),
            (HeadLayers::Conv(_), [_, height, width], [_, rows, columns]) if (height, width) == (rows, columns) => None,
            (HeadLayers::Conv(_), ..) => Some(HeadMisfit::Size),
            (HeadLayers::Mlp(_), [] | [_, _, _, _, ..], _) => Some(HeadMisfit::Axes),
            (HeadLayers::Mlp(_), ..) => None,
        }
    }
}
