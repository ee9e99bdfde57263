//! What an encoder gives: a vector of each token, or one of the whole.

use anyflow_sdk::Error;
use anyflow_sdk::descriptor::*;
use anyflow_sdk::layers::elements;
use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::transformer::Projection;

/// `[token, feature]`.
pub(crate) const VECTORS: Port = f32_port(&[axis_of("token", "vectors"), axis_of("feature", "features")]);

/// Which vectors an encoder gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Output {
    /// The hidden state of each token.
    Tokens,
    /// The vector of the whole, projected if the encoder has a projection.
    Pooled,
}

/// The parameters of an output.
#[derive(Clone, Copy, serde::Deserialize)]
pub(crate) struct OutputConfig {
    pub output: Output,
    vectors: i64,
    features: i64,
    /// 0: there is no projection.
    projection_dim: i64,
}

impl OutputConfig {
    /// Refuses another number or size of vectors than an encoder of `tokens` tokens and `width` features gives.
    pub fn check(&self, tokens: i64, width: i64) -> Result<(), Error> {
        let OutputConfig { output, vectors, features, projection_dim } = *self;
        if projection_dim != 0 {
            elements(&[projection_dim, width])?;
        }
        let made = match output {
            Output::Tokens => [tokens, width],
            Output::Pooled => [1, if projection_dim == 0 { width } else { projection_dim }],
        };
        if [vectors, features] != made {
            return Err(Error::Parameters(format!(
                "the prompt is [{vectors}, {features}], but with this `output` the module makes [{}, {}]",
                made[0], made[1]
            )));
        }
        Ok(())
    }

    /// The projection at `path`.
    pub fn projection(&self, path: &nn::Path<'_>, width: i64) -> Result<Option<Projection>, Error> {
        let made = || Projection::without_bias(path, width, self.projection_dim);
        (self.projection_dim != 0).then(made).transpose()
    }
}

/// Projects a pooled vector, if there is a projection.
pub(crate) fn projected(projection: Option<&Projection>, pooled: Tensor) -> Result<Tensor, Error> {
    projection.map_or(Ok(pooled.shallow_clone()), |projection| projection.forward(&pooled))
}
