//! A joint distribution of two streams whose denoiser is known.

use anyflow_diffusion::{Denoiser, DenoiserInput, Parameterization, Result, Schedule, StreamSpec};
use tch::Tensor;

use crate::fakes::stream;

/// Two numbers of unit variance and this correlation.
pub const CORRELATION: f64 = 0.8;

/// Their exact denoiser, at any state and time of either: E[x0 | x, y] in the streams "x" and "y", which predict x0.
pub struct Pair(Vec<StreamSpec>);

impl Pair {
    pub fn new(schedule: Schedule) -> Self {
        Pair(["x", "y"].map(|name| stream(name, &[1], schedule.clone(), Parameterization::X0)).into())
    }

    /// The factors of x and of y, each divided by its a, in the x0 estimate of the first, if the second is present.
    pub fn gains(noise: [f64; 2], other: bool) -> [f64; 2] {
        if !other {
            return [1.0 / (1.0 + noise[0]), 0.0];
        }
        let p = 1.0 + noise[0];
        let q = 1.0 + noise[1];
        let determinant = p * q - CORRELATION * CORRELATION;
        [(q - CORRELATION * CORRELATION) / determinant, CORRELATION * (p - 1.0) / determinant]
    }
}

impl Denoiser for Pair {
    fn streams(&self) -> &[StreamSpec] {
        &self.0
    }

    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>> {
        let numbers = |tensor: &Tensor| Vec::<f32>::try_from(tensor.contiguous().view([-1])).unwrap();
        let t = numbers(&batch.t().unwrap());
        let present = numbers(&batch.present().unwrap());
        let x = [numbers(&batch.x[0]), numbers(&batch.x[1])];
        let schedule = &self.0[0].schedule;
        let mut outputs = [Vec::new(), Vec::new()];
        for row in 0..batch.rows() as usize {
            let t = [0, 1].map(|index| f64::from(t[2 * row + index]));
            let a = t.map(|t| schedule.signal(t));
            let noise = t.map(|t| (schedule.noise(t) / schedule.signal(t)).powi(2));
            for (index, outputs) in outputs.iter_mut().enumerate() {
                let other = 1 - index;
                let there = present[2 * row + other] == 1.0;
                let [own, of_other] = Pair::gains([noise[index], noise[other]], there);
                let value = |index: usize| f64::from(x[index][row]) / a[index];
                let of_other = if there { of_other * value(other) } else { 0.0 };
                outputs.push((own * value(index) + of_other) as f32);
            }
        }
        Ok(outputs.iter().map(|values| Tensor::from_slice(values).view([-1, 1])).collect())
    }

    fn parameters(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}
