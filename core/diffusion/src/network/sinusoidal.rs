//! Sinusoidal embeddings of times and of other numbers.

use tch::{Device, Kind, Tensor};

use super::layer::{BuildOptions, Linear, silu};
use crate::tensor::tensor_from_rows;
use crate::{Result, TensorExt};

/// The discrete steps that published weights were trained with: time t is step 1000 t - 1.
const STEPS: f64 = 1000.0;
/// The ratio of the longest to the shortest wavelength.
const WAVELENGTH_RATIO: f64 = 10_000.0;

/// The sinusoids of Vaswani et al. 2017, section 3.5, of several numbers.
#[derive(Debug)]
pub(super) struct Waves {
    /// `[frequency]`.
    frequencies: Tensor,
}

impl Waves {
    /// So many cosines and as many sines of each number.
    pub fn new(count: i64, device: Device) -> Result<Self> {
        let frequency = |k: i64| (-WAVELENGTH_RATIO.ln() * k as f64 / count as f64).exp() as f32;
        let frequencies: Vec<f32> = (0..count).map(frequency).collect();
        Ok(Waves { frequencies: tensor_from_rows(&frequencies, frequencies.len(), &[], device)? })
    }

    /// `[row, number]`, f32 -> `[row, number * 2 * frequency]`.
    pub fn forward(&self, numbers: &Tensor) -> Result<Tensor> {
        let angles = numbers.try_unsqueeze(-1)?.try_mul(&self.frequencies)?;
        let waves = [angles.try_cos()?, angles.try_sin()?];
        Tensor::try_cat(&waves, -1)?.try_flatten(1, 2)
    }
}

/// linear_2(silu(linear_1(waves))), waves those of the times of all streams; with several streams also their presence.
#[derive(Debug)]
pub(super) struct SinusoidalEmbedding {
    waves: Waves,
    presence: bool,
    layers: [Linear; 2],
}

impl SinusoidalEmbedding {
    /// `channels` sinusoids per stream, an embedding of `width` features. It always computes in f32.
    pub fn new(streams: usize, channels: i64, width: i64, init: BuildOptions) -> Result<Self> {
        let presence = streams > 1;
        let inputs = streams as i64 * (channels + i64::from(presence));
        let waves = Waves::new(channels / 2, init.device)?;
        Ok(SinusoidalEmbedding { waves, presence, layers: two_layers("time_embedding", inputs, width, init)? })
    }

    /// `t` and `present` `[row, stream]` -> `[row, width]`.
    pub fn forward(&self, t: &Tensor, present: &Tensor) -> Result<Tensor> {
        // In f64, since a step is a small difference of large numbers.
        let steps =
            t.try_to_kind(Kind::Double)?.try_mul_scalar(STEPS)?.try_sub_scalar(1.0)?.try_to_kind(Kind::Float)?;
        let mut features = self.waves.forward(&steps)?;
        if self.presence {
            features = Tensor::try_cat(&[&features, present], 1)?;
        }
        self.layers[1].forward(&silu(self.layers[0].forward(&features)?)?)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.layers.iter().for_each(|layer| layer.list(named));
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.layers.iter_mut().try_for_each(Linear::freeze)
    }
}

/// linear_2(silu(linear_1(numbers))): vectors that are added to the embedding of the time.
#[derive(Debug)]
pub(super) struct VectorEmbedding {
    layers: [Linear; 2],
}

impl VectorEmbedding {
    /// From so many numbers to `width` features. It always computes in f32.
    pub fn new(numbers: i64, width: i64, init: BuildOptions) -> Result<Self> {
        Ok(VectorEmbedding { layers: two_layers("add_embedding", numbers, width, init)? })
    }

    /// `[row, number]` -> `[row, width]`.
    pub fn forward(&self, numbers: &Tensor) -> Result<Tensor> {
        self.layers[1].forward(&silu(self.layers[0].forward(numbers)?)?)
    }

    pub fn list(&self, named: &mut Vec<(String, Tensor)>) {
        self.layers.iter().for_each(|layer| layer.list(named));
    }

    pub fn freeze(&mut self) -> Result<()> {
        self.layers.iter_mut().try_for_each(Linear::freeze)
    }
}

fn two_layers(name: &str, inputs: i64, width: i64, init: BuildOptions) -> Result<[Linear; 2]> {
    let init = init.in_f32();
    let layer = |number: usize, from| Linear::new(&format!("{name}.linear_{number}"), from, width, 1.0, init);
    Ok([layer(1, inputs)?, layer(2, width)?])
}
