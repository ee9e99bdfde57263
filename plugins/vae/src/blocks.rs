//! The layers of the tiny autoencoders. Names and order of the weights are those of the published files.

use anyflow_sdk::Error;
use anyflow_sdk::tch::{Tensor, nn};

/// Groups of the group norm before a block.
const GROUPS: i64 = 4;
/// Its channels, as a multiple of the block's.
const WIDENING: i64 = 4;
/// As in PyTorch.
const EPSILON: f64 = 1e-5;

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
}

impl Conv {
    pub fn new(path: &nn::Path<'_>, shape: ConvShape) -> Result<Conv, Error> {
        let ConvShape { inputs, outputs, kernel, stride, has_bias } = shape;
        let bound = 1.0 / ((inputs * kernel * kernel) as f64).sqrt();
        let start = nn::Init::Uniform { lo: -bound, up: bound };
        let bias = has_bias.then(|| path.f_var("bias", &[outputs], start)).transpose()?;
        let weight = path.f_var("weight", &[outputs, inputs, kernel, kernel], start)?;
        Ok(Conv { weight, bias, stride })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let padding = self.weight.size()[2] / 2;
        Ok(x.f_conv2d(&self.weight, self.bias.as_ref(), self.stride, padding, 1, 1)?)
    }
}

/// y = relu(conv(x') + x') of three convolutions, with x' = x + pool(x) if the block has a norm, else x' = x.
pub(crate) struct Block {
    conv: [Conv; 3],
    pool: Option<Pool>,
}

/// A wide pointwise layer with group norm.
struct Pool {
    widen: Conv,
    weight: Tensor,
    bias: Tensor,
    narrow: Conv,
}

impl Block {
    pub fn new(path: &nn::Path<'_>, channels: i64, has_norm: bool) -> Result<Block, Error> {
        // The numbers between are activations.
        let conv = |layer: i64| Conv::new(&(path / "conv" / layer), ConvShape::plain(channels, channels));
        let pool = has_norm.then(|| Pool::new(&(path / "pool"), channels)).transpose()?;
        Ok(Block { conv: [conv(0)?, conv(2)?, conv(4)?], pool })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let pooled = self.pool.as_ref().map(|pool| pool.forward(x)).transpose()?;
        let x = pooled.as_ref().unwrap_or(x);
        let [first, second, last] = &self.conv;
        let y = second.forward(&first.forward(x)?.f_relu()?)?.f_relu()?;
        Ok(last.forward(&y)?.f_add(x)?.f_relu()?)
    }
}

impl Pool {
    fn new(path: &nn::Path<'_>, channels: i64) -> Result<Pool, Error> {
        let wide = WIDENING * channels;
        let pointwise = |inputs, outputs| ConvShape { inputs, outputs, kernel: 1, stride: 1, has_bias: false };
        let norm = path / 1;
        Ok(Pool {
            widen: Conv::new(&(path / 0), pointwise(channels, wide))?,
            weight: norm.f_var("weight", &[wide], nn::Init::Const(1.0))?,
            bias: norm.f_var("bias", &[wide], nn::Init::Const(0.0))?,
            narrow: Conv::new(&(path / 3), pointwise(wide, channels))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let y = self.widen.forward(x)?;
        let y = y.f_group_norm(GROUPS, Some(&self.weight), Some(&self.bias), EPSILON, true)?;
        Ok(self.narrow.forward(&y.f_relu()?)?.f_add(x)?)
    }
}
