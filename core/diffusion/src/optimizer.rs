//! AdamW with a learning-rate schedule, gradient clipping and an exponential moving average of the weights.
//!
//! A step is one call over all parameters and reads nothing back from the device: the clipping coefficient stays there,
//! and a NaN or infinite loss or gradient makes the kernel skip the update. Training code checks [`Optimizer::failed`]
//! when convenient.

use anyflow_config::Decay;
use anyflow_config::optimizer::Adamw as Settings;
use anyflow_native::{Adamw, AdamwTensors, Numbers};
use indexmap::IndexMap;
use tch::{Kind, Tensor};

use crate::{EngineError, Result, TensorExt};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The optimizer of a stage, over the stage's trainable parameters.
pub struct Optimizer {
    settings: Settings,
    steps: u64,
    ema: f64,
    names: Vec<String>,
    weights: Vec<Tensor>,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    /// Steps taken by each weight, `[weight]`, f32.
    counts: Tensor,
    /// Empty without an EMA.
    averages: Vec<Tensor>,
    /// 1 once a loss or a gradient was NaN or infinite, f32, 0-dimensional.
    failed: Tensor,
    /// Shares all of these tensors.
    adamw: Adamw,
}

impl Optimizer {
    /// The optimizer of `steps` training steps over these named leaf tensors. Moments start at zero; the averages, kept
    /// if `ema` is above 0, start at the weights.
    ///
    /// # Errors
    /// Out of memory, or no parameters.
    pub fn new(
        config: impl Into<anyflow_config::OptimizerConfig>,
        steps: u64,
        ema: f64,
        parameters: Vec<(String, Tensor)>,
    ) -> Result<Self> {
        let anyflow_config::OptimizerConfig::Adamw(settings) = config.into();
        let (names, weights): (Vec<String>, Vec<Tensor>) = parameters.into_iter().unzip();
        let Some(device) = weights.first().map(Tensor::device) else {
            return Err(EngineError::Request("the optimizer needs at least one parameter, found none".into()));
        };
        let _no_grad = tch::no_grad_guard();
        let zeros = |weight: &Tensor| weight.try_zeros_like();
        let copy = |weight: &Tensor| weight.try_detach_copy();
        let zero = |shape: &[i64]| Tensor::try_zeros(shape, (Kind::Float, device));
        let counts = zero(&[weights.len() as i64])?;
        let failed = zero(&[])?;
        let first: Vec<Tensor> = weights.iter().map(zeros).collect::<Result<_>>()?;
        let second: Vec<Tensor> = weights.iter().map(zeros).collect::<Result<_>>()?;
        let averages: Vec<Tensor> = weights.iter().filter(|_| ema > 0.0).map(copy).collect::<Result<_>>()?;
        let adamw = Adamw::new(&AdamwTensors {
            weights: &weights,
            first: &first,
            second: &second,
            averages: &averages,
            counts: &counts,
            failed: &failed,
        })?;
        Ok(Optimizer { settings, steps, ema, names, weights, first, second, counts, averages, failed, adamw })
    }

    /// Learning rate of step `step`, counted from 0.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let Settings { lr, warmup, decay, .. } = self.settings;
        let rise = if warmup > 0 { ((step + 1) as f64 / warmup as f64).min(1.0) } else { 1.0 };
        let through = step.saturating_sub(warmup) as f64 / self.steps.saturating_sub(warmup).max(1) as f64;
        let fall = match decay {
            Decay::Constant => 1.0,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * through).cos()),
        };
        lr * rise * fall
    }

    /// Takes one step along the gradients of `loss`, which backward passes left in the parameters, and clears them.
    /// Returns the norm of the gradient before clipping: 0-dimensional, on the device.
    ///
    /// Once a loss or a norm is NaN or infinite, this and all later steps leave weights and moments unchanged.
    ///
    /// # Errors
    /// No parameter has a gradient, or a libtorch call failed.
    pub fn step(&mut self, loss: &Tensor, step: u64, learning_rate: f64) -> Result<Tensor> {
        let Settings { weight_decay, max_grad_norm, .. } = self.settings;
        let decay = self.ema.min((1.0 + step as f64) / (10.0 + step as f64));
        let beta1 = BETA1;
        let beta2 = BETA2;
        let epsilon = EPSILON;
        let average = 1.0 - decay;
        let numbers = Numbers { lr: learning_rate, beta1, beta2, weight_decay, epsilon, clip: max_grad_norm, average };
        let norm = self.adamw.step(&numbers, loss)?;
        norm.ok_or_else(|| {
            EngineError::Request("the optimizer found no gradient; run a backward pass before each step".into())
        })
    }

    /// True if a loss or a gradient was NaN or infinite since the start or the last [`Optimizer::reset_failure`]. Waits
    /// for the device.
    ///
    /// # Errors
    /// The device failed.
    pub fn failed(&self) -> Result<bool> {
        Ok(self.failed.try_item()? != 0.0)
    }

    /// Clears the failure, after the caller restored an earlier state.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn reset_failure(&mut self) -> Result<()> {
        let _ = self.failed.try_zero_()?;
        Ok(())
    }

    /// Replaces the weights with their averages.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn settle(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (weight, average) in self.weights.iter_mut().zip(&self.averages) {
            weight.try_copy_(average)?;
        }
        Ok(())
    }

    /// The tensors that a resumed training needs, by name, sharing memory.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn state(&self) -> Result<IndexMap<String, Tensor>> {
        let mut state = IndexMap::new();
        let counts = self.counts.try_unbind(0)?;
        for (i, name) in self.names.iter().enumerate() {
            let lists =
                [("weight", &self.weights), ("first", &self.first), ("second", &self.second), ("count", &counts)];
            for (kind, list) in lists.into_iter().chain([("average", &self.averages)]) {
                if let Some(tensor) = list.get(i) {
                    state.insert(format!("{kind}.{name}"), tensor.shallow_clone());
                }
            }
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn adamw(lr: f64, warmup: u64, decay: Decay, weight_decay: f64, max_grad_norm: f64) -> Settings {
        Settings { lr, warmup, decay, weight_decay, max_grad_norm }
    }

    fn named(weight: &Tensor) -> Vec<(String, Tensor)> {
        vec![("w".into(), weight.shallow_clone())]
    }

    /// Takes a step along the gradient of `loss`; returns its norm.
    fn step(optimizer: &mut Optimizer, loss: &Tensor, step: u64) -> f64 {
        loss.backward();
        let rate = optimizer.learning_rate(step);
        optimizer.step(loss, step, rate).unwrap().double_value(&[])
    }

    /// One weight, loss 3 w^2: the algorithm as in the paper, in f64.
    fn reference(mut w: f64, steps: u64, lr: f64, weight_decay: f64) -> f64 {
        let mut m = 0.0;
        let mut v = 0.0;
        for t in 1..=steps as i32 {
            let g = 6.0 * w;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let m_hat = m / (1.0 - 0.9f64.powi(t));
            let v_hat = v / (1.0 - 0.999f64.powi(t));
            w -= lr * (m_hat / (v_hat.sqrt() + 1e-8) + weight_decay * w);
        }
        w
    }

    #[test]
    fn steps_match_the_paper() {
        let weight = Tensor::from_slice(&[1.5f32]).set_requires_grad(true);
        let config = adamw(0.05, 0, Decay::Constant, 0.1, 0.0);
        let mut optimizer = Optimizer::new(config, 40, 0.0, named(&weight)).unwrap();
        for at in 0..40 {
            step(&mut optimizer, &(weight.square().sum(Kind::Float) * 3.0), at);
        }
        let off = (weight.double_value(&[0]) - reference(1.5, 40, 0.05, 0.1)).abs();
        assert!(off < 1e-5, "{off} in f32");
    }

    #[test]
    fn the_learning_rate_rises_and_falls() {
        let config = adamw(1.0, 10, Decay::Cosine, 0.0, 0.0);
        let weight = Tensor::zeros([1], (Kind::Float, Device::Cpu));
        let optimizer = Optimizer::new(config, 110, 0.0, named(&weight)).unwrap();
        let rate = |step| optimizer.learning_rate(step);
        assert!((rate(0) - 0.1).abs() < 1e-12 && (rate(9) - 1.0).abs() < 1e-12);
        assert!((rate(60) - 0.5).abs() < 1e-12 && rate(109) < 1e-3);
    }

    #[test]
    fn gradients_are_clipped_and_averages_follow() {
        let weight = Tensor::zeros([4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let config = adamw(0.1, 0, Decay::Constant, 0.0, 1.0);
        let mut optimizer = Optimizer::new(config, 1, 0.5, named(&weight)).unwrap();
        let norm = step(&mut optimizer, &(weight.sum(Kind::Float) * 10.0), 0);
        assert!((norm - 20.0).abs() < 1e-4);
        // Clipped to norm 1, each coordinate of the first moment is (1 - beta1) / 2.
        let first = optimizer.state().unwrap()["first.w"].double_value(&[2]);
        assert!((first - 0.05).abs() < 1e-6, "{first}");
        // The first decay of the average is min(0.5, 1/10): it takes nine tenths of the step.
        let last = weight.double_value(&[0]);
        let average = optimizer.state().unwrap()["average.w"].double_value(&[0]);
        assert!((average - 0.9 * last).abs() < 1e-6);
        optimizer.settle().unwrap();
        assert_eq!(weight.double_value(&[0]), average);
    }

    #[test]
    fn gradients_of_micro_batches_add_up_and_are_cleared() {
        let weight = Tensor::from_slice(&[1.0f32, -2.0]).set_requires_grad(true);
        let mut optimizer = Optimizer::new(adamw(0.1, 0, Decay::Constant, 0.0, 0.0), 2, 0.0, named(&weight)).unwrap();
        let parts = [weight.sum(Kind::Float) * 3.0, weight.sum(Kind::Float)];
        parts.iter().for_each(Tensor::backward);
        let norm = optimizer.step(&(&parts[0] + &parts[1]), 0, 0.1).unwrap();
        assert!((norm.double_value(&[]) - 32f64.sqrt()).abs() < 1e-5);
        assert!(!weight.grad().defined());
        assert!(optimizer.step(&parts[0], 1, 0.1).is_err(), "no gradient is left");
    }

    #[test]
    fn nan_and_infinity_never_reach_the_weights() {
        for bad in [f64::NAN, f64::INFINITY] {
            let weight = Tensor::from_slice(&[1.0f32, -2.0]).set_requires_grad(true);
            let config = adamw(0.1, 0, Decay::Constant, 0.1, 1.0);
            let mut optimizer = Optimizer::new(config, 3, 0.9, named(&weight)).unwrap();
            step(&mut optimizer, &weight.square().sum(Kind::Float), 0);
            let before: Vec<Tensor> = optimizer.state().unwrap().values().map(Tensor::copy).collect();
            assert!(!optimizer.failed().unwrap());
            step(&mut optimizer, &(weight.square().sum(Kind::Float) * bad), 1);
            assert!(optimizer.failed().unwrap());
            // A good step after it changes nothing either, until the failure is reset.
            step(&mut optimizer, &weight.square().sum(Kind::Float), 2);
            for ((name, now), before) in optimizer.state().unwrap().iter().zip(&before) {
                let counts = name.starts_with("count") || name.starts_with("average");
                assert!(counts || now == before, "{name}");
                assert!(now.isfinite().all().int64_value(&[]) == 1, "{name}");
            }
            optimizer.reset_failure().unwrap();
            step(&mut optimizer, &weight.square().sum(Kind::Float), 2);
            assert!(optimizer.state().unwrap()["weight.w"] != before[0]);
        }
    }

    /// A state that is written and read back continues bit for bit.
    #[test]
    fn a_restored_state_continues_bit_for_bit() {
        let make = || {
            let weight = Tensor::from_slice(&[1.0f32, -2.0, 0.3]).set_requires_grad(true);
            let config = adamw(0.1, 4, Decay::Cosine, 0.01, 0.5);
            let optimizer = Optimizer::new(config, 20, 0.9, named(&weight)).unwrap();
            (weight, optimizer)
        };
        let run = |(weight, optimizer): &mut (Tensor, Optimizer), steps: std::ops::Range<u64>| {
            for at in steps {
                step(optimizer, &(weight.sin() * 3.0).square().sum(Kind::Float), at);
            }
        };
        let mut whole = make();
        let mut cut = make();
        let mut resumed = make();
        run(&mut whole, 0..20);
        run(&mut cut, 0..7);
        let _no_grad = tch::no_grad_guard();
        for (name, tensor) in resumed.1.state().unwrap() {
            tensor.shallow_clone().copy_(&cut.1.state().unwrap()[&name]);
        }
        drop(_no_grad);
        run(&mut resumed, 7..20);
        for (name, tensor) in whole.1.state().unwrap() {
            assert_eq!(tensor, resumed.1.state().unwrap()[&name], "{name}");
        }
    }
}
