//! Sinusoidal time embeddings.

use tch::{Kind, Tensor};

use super::layer::{Init, Linear, Precision, silu};
use crate::noise::tensor_from_rows;
use crate::{Result, TensorOp};

/// The discrete steps that published weights were trained with: time t is step 1000 t - 1.
const STEPS: f64 = 1000.0;
/// The ratio of the longest to the shortest wavelength.
const SPAN: f64 = 10_000.0;

/// linear_2(silu(linear_1(waves))): the sinusoids of Vaswani et al. 2017, section 3.5, of the times of all streams;
/// with several streams also their presence.
#[derive(Debug)]
pub(super) struct WaveEmbedding {
    /// `[channels / 2]`.
    frequencies: Tensor,
    presence: bool,
    layers: [Linear; 2],
}

impl WaveEmbedding {
    /// `channels` sinusoids per stream, an embedding of `width` features. It always computes in f32.
    pub fn new(streams: usize, channels: i64, width: i64, init: Init) -> Result<Self> {
        let half = channels / 2;
        let frequency = |k: i64| (-SPAN.ln() * k as f64 / half as f64).exp() as f32;
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let presence = streams > 1;
        let inputs = streams as i64 * (channels + i64::from(presence));
        let init = Init { precision: Precision::F32, ..init };
        let layer =
            |number: usize, from| Linear::new(&format!("time_embedding.linear_{number}"), from, width, 1.0, init);
        Ok(WaveEmbedding {
            frequencies: tensor_from_rows(&frequencies, frequencies.len(), &[], init.device)?,
            presence,
            layers: [layer(1, inputs)?, layer(2, width)?],
        })
    }

    /// `t` and `present` `[row, stream]` -> `[row, width]`, after the activation at the start of every block.
    pub fn forward(&self, t: &Tensor, present: &Tensor) -> Result<Tensor> {
        // In f64, since a step is a small difference of large numbers.
        let steps = t.f_to_kind(Kind::Double).op("to", &[t])?.f_mul_scalar(STEPS).op("mul", &[t])?;
        let steps = steps.f_sub_scalar(1.0).op("sub", &[t])?.f_to_kind(Kind::Float).op("to", &[t])?;
        let steps = steps.f_unsqueeze(-1).op("unsqueeze", &[t])?;
        let angles = steps.f_mul(&self.frequencies).op("mul", &[&steps, &self.frequencies])?;
        let waves = [angles.f_cos().op("cos", &[&angles])?, angles.f_sin().op("sin", &[&angles])?];
        let waves = Tensor::f_cat(&waves, -1).op("cat", &[&waves[0], &waves[1]])?;
        let mut features = waves.f_flatten(1, 2).op("flatten", &[&waves])?;
        if self.presence {
            features = Tensor::f_cat(&[&features, present], 1).op("cat", &[&features, present])?;
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
