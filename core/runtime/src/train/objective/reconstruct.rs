//! Reconstruction: a stream's module autoencodes its input.

use anyflow_config::objective::{Reconstruct as Options, ReconstructionLoss};
use tch::{Kind, Tensor};

use super::augment::{mirrored, shifted};
use super::{BatchPart, Objective, StepBatch, StepKey, StepLoss};
use crate::Result;
use crate::table::{RowNeeds, Tuples};
use crate::train::frozen::Setting;

/// Trains the module of a stream.
pub struct Reconstruct<'a> {
    options: &'a Options,
    /// The stream.
    name: &'a str,
    setting: Setting<'a>,
}

impl<'a> Reconstruct<'a> {
    /// Nothing is frozen, so nothing is encoded in advance.
    pub fn prepare(options: &'a Options, name: &'a str, setting: Setting<'a>) -> Self {
        Reconstruct { options, name, setting }
    }
}

impl Objective for Reconstruct<'_> {
    fn unit(&self) -> &'static str {
        match self.options.loss {
            ReconstructionLoss::L1L2 => "|d| + d^2/2, summed over a row",
            ReconstructionLoss::Mse => "squared error, summed over a row",
            ReconstructionLoss::CrossEntropy => "cross-entropy in nats, summed over a row",
        }
    }

    fn needs(&self) -> RowNeeds {
        RowNeeds { all: vec![self.name.to_string()], ..RowNeeds::default() }
    }

    /// The array, and noise of the latent's shape if the options ask for it.
    fn gather(&mut self, tuples: &Tuples) -> Result<StepBatch> {
        let session = &self.setting.trainee.session;
        let array = self.setting.rows(self.name, tuples)?.f_to_device(session.device)?;
        let array = mirrored(shifted(array, self.options.shift)?, self.options.mirror)?;
        let mut size = vec![array.size()[0]];
        size.extend(&session.streams[self.name].latent);
        let mut tensors = vec![array];
        if self.options.noise > 0.0 {
            tensors.push(Tensor::f_randn(size, (Kind::Float, session.device))?);
        }
        Ok(StepBatch { tensors, ..StepBatch::default() })
    }

    fn loss(&self, part: &BatchPart, _key: StepKey) -> Result<StepLoss> {
        let net = &self.setting.trainee.session.streams[self.name];
        let array = &part.tensors[0];
        let latent = noised(net.encode(array, true)?, part.tensors.get(1), self.options.noise)?;
        let back = net.decode(&latent, true)?;
        Ok(StepLoss { loss: error(self.options.loss, &back, array)?, figures: Vec::new() })
    }
}

/// The error summed over a row's elements, mean over rows.
fn error(loss: ReconstructionLoss, back: &Tensor, array: &Tensor) -> Result<Tensor> {
    let rows = array.size()[0].max(1) as f64;
    let d = back.f_sub(array)?;
    let sum = match loss {
        ReconstructionLoss::L1L2 => d.f_abs()?.f_add(&d.f_square()?.f_mul_scalar(0.5)?)?.f_sum(Kind::Float)?,
        ReconstructionLoss::Mse => d.f_square()?.f_sum(Kind::Float)?,
        ReconstructionLoss::CrossEntropy => {
            back.f_log_softmax(-1, Kind::Float)?.f_mul(array)?.f_sum(Kind::Float)?.f_neg()?
        }
    };
    Ok(sum.f_div_scalar(rows)?)
}

/// Adds normal noise to a latent: `scale` times the standard deviation of each coordinate over the rows of the call.
fn noised(latent: Tensor, noise: Option<&Tensor>, scale: f64) -> Result<Tensor> {
    let Some(noise) = noise else { return Ok(latent) };
    let std = latent.f_detach()?.f_std_dim([0i64].as_slice(), false, true)?;
    Ok(latent.f_add(&noise.f_mul(&std)?.f_mul_scalar(scale)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_a_sum_over_a_row_and_a_mean_over_rows() {
        let array = Tensor::from_slice(&[1.0f32, 0.0, 0.0, 1.0, 0.0, 1.0]).view([2, 3]);
        let back = &array + 2.0;
        assert_eq!(error(ReconstructionLoss::Mse, &back, &array).unwrap().double_value(&[]), 12.0);
        assert_eq!(error(ReconstructionLoss::L1L2, &back, &array).unwrap().double_value(&[]), 12.0);
        let even = Tensor::zeros_like(&array);
        let nats = error(ReconstructionLoss::CrossEntropy, &even, &array).unwrap().double_value(&[]);
        assert!((nats - 1.5 * 3f64.ln()).abs() < 1e-6, "three positions of probability 1/3 in two rows: {nats}");
    }
}
