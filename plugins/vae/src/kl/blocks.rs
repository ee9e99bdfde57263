//! The layers of the autoencoder with a KL term. Names of the weights are those of diffusers.

use anyflow_sdk::Error;
use anyflow_sdk::layers::Linear;
use anyflow_sdk::tch::{Tensor, nn};

use crate::conv::{Conv, ConvShape, GroupNorm, NormShape};

/// As in diffusers.
const EPSILON: f64 = 1e-6;

pub(super) fn norm(path: &nn::Path<'_>, channels: i64, groups: i64) -> Result<GroupNorm, Error> {
    GroupNorm::new(path, NormShape { channels, groups, epsilon: EPSILON })
}

/// y = skip(x) + conv(silu(norm(conv(silu(norm(x)))))); skip is pointwise if the number of channels changes.
pub(super) struct Residual {
    norms: [GroupNorm; 2],
    convs: [Conv; 2],
    skip: Option<Conv>,
}

impl Residual {
    pub fn new(path: &nn::Path<'_>, inputs: i64, outputs: i64, groups: i64) -> Result<Residual, Error> {
        let skip = (inputs != outputs)
            .then(|| Conv::new(&(path / "conv_shortcut"), ConvShape::pointwise(inputs, outputs)))
            .transpose()?;
        Ok(Residual {
            norms: [norm(&(path / "norm1"), inputs, groups)?, norm(&(path / "norm2"), outputs, groups)?],
            convs: [
                Conv::new(&(path / "conv1"), ConvShape::plain(inputs, outputs))?,
                Conv::new(&(path / "conv2"), ConvShape::plain(outputs, outputs))?,
            ],
            skip,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let mut y = x.shallow_clone();
        for (norm, conv) in self.norms.iter().zip(&self.convs) {
            y = conv.forward(&norm.forward(&y)?.f_silu()?)?;
        }
        let skipped = self.skip.as_ref().map(|skip| skip.forward(x)).transpose()?;
        Ok(y.f_add(skipped.as_ref().unwrap_or(x))?)
    }
}

/// y = x + attention of one head over all places of norm(x).
struct SpatialAttention {
    norm: GroupNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
}

impl SpatialAttention {
    fn new(path: &nn::Path<'_>, channels: i64, groups: i64) -> Result<SpatialAttention, Error> {
        let linear = |path: nn::Path<'_>| Linear::new(&path, channels, channels);
        Ok(SpatialAttention {
            norm: norm(&(path / "group_norm"), channels, groups)?,
            query: linear(path / "to_q")?,
            key: linear(path / "to_k")?,
            value: linear(path / "to_v")?,
            out: linear(path / "to_out" / 0)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let places = self.norm.forward(x)?.f_flatten(2, 3)?.f_transpose(1, 2)?.f_unsqueeze(1)?;
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|layer| layer.forward(&places));
        let no_mask = None::<Tensor>;
        let y = Tensor::f_scaled_dot_product_attention(&query?, &key?, &value?, no_mask, 0.0, false, None, false)?;
        let y = self.out.forward(&y)?.f_squeeze_dim(1)?.f_transpose(1, 2)?;
        Ok(y.f_reshape(x.size())?.f_add(x)?)
    }
}

/// The block next to the latent.
pub(super) struct Middle {
    residuals: [Residual; 2],
    attention: Option<SpatialAttention>,
}

impl Middle {
    pub fn new(path: &nn::Path<'_>, channels: i64, groups: i64, attends: bool) -> Result<Middle, Error> {
        let residual = |index: i64| Residual::new(&(path / "resnets" / index), channels, channels, groups);
        let attention =
            attends.then(|| SpatialAttention::new(&(path / "attentions" / 0), channels, groups)).transpose()?;
        Ok(Middle { residuals: [residual(0)?, residual(1)?], attention })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let [first, last] = &self.residuals;
        let x = first.forward(x)?;
        let attended = self.attention.as_ref().map(|attention| attention.forward(&x)).transpose()?;
        last.forward(attended.as_ref().unwrap_or(&x))
    }
}
