//! Convolutions and group norm, with the names and the start values of PyTorch.

use anyflow_sdk::tch::{Tensor, nn};
use anyflow_sdk::{Error, variable};

/// A convolution over `[row, channel, height, width]`, padded so that a stride of one keeps height and width.
pub(crate) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
}

/// The form of a convolution.
#[derive(Clone, Copy)]
pub(crate) struct ConvShape {
    pub inputs: i64,
    pub outputs: i64,
    pub kernel: i64,
    pub stride: i64,
    pub has_bias: bool,
}

impl ConvShape {
    /// 3 x 3, stride one, with a bias.
    pub fn plain(inputs: i64, outputs: i64) -> ConvShape {
        ConvShape { inputs, outputs, kernel: 3, stride: 1, has_bias: true }
    }

    /// 1 x 1, with a bias.
    pub fn pointwise(inputs: i64, outputs: i64) -> ConvShape {
        ConvShape { kernel: 1, ..ConvShape::plain(inputs, outputs) }
    }
}

impl Conv {
    pub fn new(path: &nn::Path<'_>, shape: ConvShape) -> Result<Conv, Error> {
        let ConvShape { inputs, outputs, kernel, stride, has_bias } = shape;
        let bound = 1.0 / ((inputs * kernel * kernel) as f64).sqrt();
        let start = nn::Init::Uniform { lo: -bound, up: bound };
        let bias = has_bias.then(|| variable(path, "bias", &[outputs], start)).transpose()?;
        let weight = variable(path, "weight", &[outputs, inputs, kernel, kernel], start)?;
        Ok(Conv { weight, bias, stride })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let padding = self.weight.size()[2] / 2;
        Ok(x.f_conv2d(&self.weight, self.bias.as_ref(), self.stride, padding, 1, 1)?)
    }

    /// As `forward`, but padded on the right and below only.
    pub fn forward_right_below(&self, x: &Tensor) -> Result<Tensor, Error> {
        let padding = self.weight.size()[2] / 2;
        let x = x.f_constant_pad_nd([0, padding, 0, padding])?;
        Ok(x.f_conv2d(&self.weight, self.bias.as_ref(), self.stride, 0, 1, 1)?)
    }
}

/// Normalizes groups of channels to mean 0 and variance 1, then scales and shifts each channel.
pub(crate) struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: i64,
    epsilon: f64,
}

/// The form of a group norm.
#[derive(Clone, Copy)]
pub(crate) struct NormShape {
    pub channels: i64,
    pub groups: i64,
    pub epsilon: f64,
}

impl GroupNorm {
    pub fn new(path: &nn::Path<'_>, shape: NormShape) -> Result<GroupNorm, Error> {
        let NormShape { channels, groups, epsilon } = shape;
        let weight = variable(path, "weight", &[channels], nn::Init::Const(1.0))?;
        let bias = variable(path, "bias", &[channels], nn::Init::Const(0.0))?;
        Ok(GroupNorm { weight, bias, groups, epsilon })
    }

    /// Maps `[row, channel, ..]` to the same shape.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_group_norm(self.groups, Some(&self.weight), Some(&self.bias), self.epsilon, true)?)
    }
}

/// Doubles height and width, nearest neighbour.
pub(crate) fn doubled(x: &Tensor) -> Result<Tensor, Error> {
    let size = x.size();
    Ok(x.f_upsample_nearest2d([2 * size[2], 2 * size[3]], None, None)?)
}
