//! Vectors of token n-grams.

use std::f64::consts::PI;

use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Kind, Tensor, nn};
use anyflow_sdk::{Error, descriptor::*, variable};

/// `[token, word]`, one-hot. Word 0 is the empty word, which pads.
pub(crate) const WORDS: Port = f32_port(&[axis_of("token", "length"), axis_of("word", "words")]);

/// A vector for each n-gram of `span` neighbouring tokens: sqrt(2) cos(w x + b), with x the one-hot rows of the n-gram
/// side by side. At initialization, vectors of different n-grams are nearly orthogonal, whatever tokens they share
/// (Rahimi & Recht 2007, "Random features for large-scale kernel machines", algorithm 1), so they are distinguishable
/// without training.
pub(crate) struct Grams {
    weight: Tensor,
    bias: Tensor,
    /// The input size: tokens and words.
    size: [i64; 2],
}

#[derive(serde::Deserialize)]
pub(crate) struct Config {
    length: i64,
    words: i64,
    span: i64,
    pub(crate) features: i64,
}

/// The schema of [`Config`].
pub(crate) const PARAMETERS: &str = r#"{
    "length": {"type": "integer", "minimum": 1},
    "words": {"type": "integer", "minimum": 2},
    "span": {
        "type": "integer", "minimum": 1, "maximum": 16, "default": 1,
        "description": "neighbouring tokens per vector (n of the n-gram)"
    },
    "features": {"type": "integer", "minimum": 1, "maximum": 65536, "default": 64}
}"#;

/// Lengths are clamped to this before the division, so that the vector of a text without words stays finite.
const SHORTEST: f64 = 1e-6;

impl Grams {
    /// Makes a layer with variables `weight: [feature, word, span]` and `bias: [feature]` under `path`.
    ///
    /// # Errors
    /// [`Error::Parameters`] if a size is not positive or far too large.
    pub fn new(path: &nn::Path<'_>, config: &Config) -> Result<Self, Error> {
        let Config { length, words, span, features } = *config;
        elements(&[length, words])?;
        elements(&[words, span, features])?;
        if words < 2 {
            return Err(Error::Parameters(
                "words is below 2; the vocabulary needs a word besides the empty one".to_string(),
            ));
        }
        let normal = nn::Init::Randn { mean: 0.0, stdev: 1.0 };
        let bias = variable(path, "bias", &[features], nn::Init::Uniform { lo: -PI, up: PI })?;
        let weight = variable(path, "weight", &[features, words, span], normal)?;
        Ok(Grams { weight, bias, size: [length, words] })
    }

    /// Maps `[row, token, word]` to `[row, token, feature]`: the vector of the n-gram that ends at each token. N-grams
    /// of empty words only are zero.
    pub fn forward(&self, array: &Tensor) -> Result<Tensor, Error> {
        let length = self.size[0];
        let span = self.weight.size()[2];
        let words = array.f_transpose(1, 2)?;
        let seen = words.f_conv1d(&self.weight, Some(&self.bias), 1, span - 1, 1, 1)?.f_narrow(2, 0, length)?;
        // The number of tokens of an n-gram that are words.
        let filled = words.f_narrow(1, 1, self.size[1] - 1)?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?;
        let ones = Tensor::f_ones([1, 1, span], (Kind::Float, array.device()))?;
        let count = filled.f_conv1d(&ones, None::<Tensor>, 1, span - 1, 1, 1)?.f_narrow(2, 0, length)?;
        let vectors = seen.f_cos()?.f_mul_scalar(2f64.sqrt())?.f_mul(&count.f_gt(0.5)?)?;
        Ok(vectors.f_transpose(1, 2)?)
    }
}

/// Normalizes `[.., feature]` to length 1 along the last axis; zeros stay zeros.
pub(crate) fn directions(vectors: &Tensor) -> Result<Tensor, Error> {
    let length = vectors.f_norm_scalaropt_dim(2.0, [-1], true)?.f_clamp_min(SHORTEST)?;
    Ok(vectors.f_div(&length)?)
}
