//! The layers of the tiny autoencoders. Names and order of the weights are those of the published files.

use anyflow_sdk::Error;
use anyflow_sdk::tch::{Tensor, nn};

use crate::conv::{Conv, ConvShape, GroupNorm, NormShape};

/// Groups of the group norm before a block.
const GROUPS: i64 = 4;
/// Its channels, as a multiple of the block's.
const WIDENING: i64 = 4;
/// As in PyTorch.
const EPSILON: f64 = 1e-5;

/// y = relu(conv(x') + x') of three convolutions, with x' = x + pool(x) if the block has a norm, else x' = x.
pub(crate) struct Block {
    conv: [Conv; 3],
    pool: Option<Pool>,
}

/// A wide pointwise layer with group norm.
struct Pool {
    widen: Conv,
    norm: GroupNorm,
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
        let pointwise = |inputs, outputs| ConvShape { has_bias: false, ..ConvShape::pointwise(inputs, outputs) };
        let norm = NormShape { channels: wide, groups: GROUPS, epsilon: EPSILON };
        Ok(Pool {
            widen: Conv::new(&(path / 0), pointwise(channels, wide))?,
            norm: GroupNorm::new(&(path / 1), norm)?,
            narrow: Conv::new(&(path / 3), pointwise(wide, channels))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let y = self.norm.forward(&self.widen.forward(x)?)?;
        Ok(self.narrow.forward(&y.f_relu()?)?.f_add(x)?)
    }
}
