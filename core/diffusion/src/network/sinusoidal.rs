//! Sinusoidal time embeddings.

use tch::{Kind, Tensor};

use super::layer::{BuildOptions, Linear, silu};
use crate::tensor::tensor_from_rows;
use crate::{Result, TensorExt};

/// The discrete steps that published weights were trained with: time t is step 1000 t - 1.
const STEPS: f64 = 1000.0;
/// The ratio of the longest to the shortest wavelength.
const WAVELENGTH_RATIO: f64 = 10_000.0;

/// linear_2(silu(linear_1(waves))): the sinusoids of Vaswani et al. 2017, section 3.5, of the times of all streams;
/// with several streams also their presence.
#[derive(Debug)]
pub(super) struct SinusoidalEmbedding {
    /// `[channels / 2]`.
    frequencies: Tensor,
    presence: bool,
    layers: [Linear; 2],
}

impl SinusoidalEmbedding {
    /// `channels` sinusoids per stream, an embedding of `width` features. It always computes in f32.
    pub fn new(streams: usize, channels: i64, width: i64, init: BuildOptions) -> Result<Self> {
        let half = channels / 2;
        let frequency = |k: i64| (-WAVELENGTH_RATIO.ln() * k as f64 / half as f64).exp() as f32;
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let presence = streams > 1;
        let inputs = streams as i64 * (channels + i64::from(presence));
        let init = init.in_f32();
        let layer =
            |number: usize, from| Linear::new(&format!("time_embedding.linear_{number}"), from, width, 1.0, init);
        Ok(SinusoidalEmbedding {
            frequencies: tensor_from_rows(&frequencies, frequencies.len(), &[], init.device)?,
            presence,
            layers: [layer(1, inputs)?, layer(2, width)?],
        })
    }

    /// `t` and `present` `[row, stream]` -> `[row, width]`, after the activation at the start of every block.
    pub fn forward(&self, t: &Tensor, present: &Tensor) -> Result<Tensor> {
        // In f64, since a step is a small difference of large numbers.
        let angles = t
            .try_to_kind(Kind::Double)?
            .try_mul_scalar(STEPS)?
            .try_sub_scalar(1.0)?
            .try_to_kind(Kind::Float)?
            .try_unsqueeze(-1)?
            .try_mul(&self.frequencies)?;
        let waves = [angles.try_cos()?, angles.try_sin()?];
        let waves = Tensor::try_cat(&waves, -1)?;
        let mut features = waves.try_flatten(1, 2)?;
        if self.presence {
            features = Tensor::try_cat(&[&features, present], 1)?;
        }
        silu(self.layers[1].forward(&silu(self.layers[0].forward(&features)?)?)?)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.layers.iter().for_each(|layer| layer.list(named));
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.layers.iter_mut().try_for_each(Linear::freeze)
    }
}
