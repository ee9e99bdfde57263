//! Convolutions over maps, `[row, channel, height, width]`.

use anyflow_config::Precision;
use tch::{Kind, Tensor};

use super::layer::{BuildOptions, NumberFormat, cast, fresh, plain, zeros};
use crate::{Result, TensorExt};

/// A square convolution that keeps or halves the size of the map.
#[derive(Debug)]
pub(super) struct Conv {
    name: String,
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    precision: Precision,
    /// Once frozen: weight and bias in compute precision.
    fixed: Option<(Tensor, Tensor)>,
}

impl Conv {
    /// Kernel `side` x `side`; weights are initialized like those of a linear layer.
    pub fn new(name: &str, from: i64, to: i64, side: i64, scale: f64, init: BuildOptions) -> Result<Self> {
        let weight = fresh(name, &[to, from, side, side], scale, init)?;
        let bias = zeros(to, init)?;
        Ok(Conv { name: name.to_string(), weight, bias, stride: 1, precision: init.precision, fixed: None })
    }

    /// Sets the stride to 2.
    pub fn halving(self) -> Self {
        Conv { stride: 2, ..self }
    }

    /// `[row, from, height, width]` -> `[row, to, height, width]`, in the layer's precision.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let bias = match &self.fixed {
            Some((_, bias)) => bias.shallow_clone(),
            None => cast(&self.bias, self.precision.kind())?,
        };
        self.convolve(x, Some(&bias))
    }

    /// See [`Conv::forward`], with another bias: `[to]` or `[row, to]`.
    pub fn forward_with(&self, bias: &Tensor, x: &Tensor) -> Result<Tensor> {
        let bias = cast(bias, self.precision.kind())?;
        if bias.dim() == 1 {
            return self.convolve(x, Some(&bias));
        }
        let mut y = self.convolve(x, None)?;
        let bias = over_positions(&bias)?;
        y.try_add_(&bias)
    }

    fn convolve(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let weight = match &self.fixed {
            Some((weight, _)) => weight.shallow_clone(),
            None => cast(&self.weight, self.precision.kind())?,
        };
        let x = cast(x, self.precision.kind())?;
        let padding = self.weight.size()[2] / 2;
        x.try_conv2d(&weight, bias, self.stride, padding)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        named.push((format!("{}.weight", self.name), self.weight.shallow_clone()));
        named.push((format!("{}.bias", self.name), self.bias.shallow_clone()));
    }

    pub fn freeze(&mut self) -> Result<()> {
        let fix = |parameter: &Tensor| cast(&plain(parameter)?, self.precision.kind());
        self.fixed = Some((fix(&self.weight)?, fix(&self.bias)?));
        Ok(())
    }

    /// The bias `[to]`, f32, without gradient.
    pub fn plain_bias(&self) -> Result<Tensor> {
        plain(&self.bias)
    }
}

/// Broadcasts a number per row and channel over the map: `[row, channel]` -> `[row, channel, 1, 1]`.
pub(super) fn over_positions(numbers: &Tensor) -> Result<Tensor> {
    numbers.try_unsqueeze(-1)?.try_unsqueeze(-1)
}

/// Concatenates maps along the channel axis.
pub(super) fn concat(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    Tensor::try_cat(&[left, right], 1)
}

/// Upsamples to this height and width by nearest neighbour; f32.
pub(super) fn enlarged(x: &Tensor, size: [i64; 2]) -> Result<Tensor> {
    let x = cast(x, Kind::Float)?;
    x.try_upsample_nearest2d(size)
}
