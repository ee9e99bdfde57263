//! AdamW with a learning-rate law, gradient clipping and an exponential moving average of the weights.

use serde::Deserialize;
use tch::{Kind, Tensor};

use crate::checkpoint::Tensors;
use crate::{Result, RunError};

/// `optimizer` of a stage.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2.
    Adamw {
        /// Peak learning rate.
        lr: f64,
        /// Steps of linear rise.
        warmup: u64,
        /// What comes after.
        decay: Decay,
        /// Decoupled weight decay.
        weight_decay: f64,
        /// Largest norm of the gradient over all parameters; 0 for no limit.
        clip: f64,
    },
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Not at all.
    Constant,
    /// Half a cosine to zero at the last step.
    Cosine,
}

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

struct Slot {
    name: String,
    weight: Tensor,
    first: Tensor,
    second: Tensor,
    average: Option<Tensor>,
}

/// The optimizer of a stage, over the stage's trainable parameters.
pub struct Optimizer {
    config: OptimizerConfig,
    steps: u64,
    ema: f64,
    slots: Vec<Slot>,
}

impl Optimizer {
    /// Starts with zero moments; averages start at the weights.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(config: OptimizerConfig, steps: u64, ema: f64, parameters: Vec<(String, Tensor)>) -> Result<Self> {
        let slot = |(name, weight): (String, Tensor)| {
            let plain = weight.f_detach()?;
            let average = if ema > 0.0 { Some(plain.f_detach_copy()?) } else { None };
            Ok(Slot { name, first: plain.f_zeros_like()?, second: plain.f_zeros_like()?, average, weight })
        };
        let slots = parameters.into_iter().map(slot).collect::<Result<_>>()?;
        Ok(Optimizer { config, steps, ema, slots })
    }

    /// Learning rate of step `step`, counted from 0.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let OptimizerConfig::Adamw { lr, warmup, decay, .. } = self.config;
        let rise = if warmup > 0 { ((step + 1) as f64 / warmup as f64).min(1.0) } else { 1.0 };
        let through = step.saturating_sub(warmup) as f64 / self.steps.saturating_sub(warmup).max(1) as f64;
        let fall = match decay {
            Decay::Constant => 1.0,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * through).cos()),
        };
        lr * rise * fall
    }

    /// One step along the gradients of `loss`; gives the norm of the gradient before clipping.
    ///
    /// # Errors
    /// libtorch refused.
    pub fn step(&mut self, loss: &Tensor, step: u64) -> Result<f64> {
        for slot in &mut self.slots {
            slot.weight.zero_grad();
        }
        loss.f_backward()?;
        let _no_grad = tch::no_grad_guard();
        let OptimizerConfig::Adamw { weight_decay, clip, .. } = self.config;
        let norm = self.gradient_norm()?;
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        let lr = self.learning_rate(step);
        let n = (step + 1) as i32;
        let (correct1, correct2) = (1.0 - BETA1.powi(n), 1.0 - BETA2.powi(n));
        let decay = self.ema.min((1.0 + step as f64) / (10.0 + step as f64));
        for slot in &mut self.slots {
            let gradient = slot.weight.f_grad()?;
            if !gradient.defined() {
                continue;
            }
            let gradient = if scale == 1.0 { gradient } else { gradient.f_mul_scalar(scale)? };
            let _ = slot.first.f_mul_scalar_(BETA1)?.f_add_(&gradient.f_mul_scalar(1.0 - BETA1)?)?;
            let _ = slot.second.f_mul_scalar_(BETA2)?.f_addcmul_(&gradient, &gradient.f_mul_scalar(1.0 - BETA2)?)?;
            let scaled = slot.second.f_mul_scalar(1.0 / correct2)?.f_sqrt_()?.f_add_scalar_(EPSILON)?;
            let update = slot.first.f_div(&scaled)?.f_mul_scalar_(-lr / correct1)?;
            let _ = slot.weight.f_mul_scalar_(1.0 - lr * weight_decay)?.f_add_(&update)?;
            if let Some(average) = &mut slot.average {
                let difference = slot.weight.f_sub(average)?.f_mul_scalar_(1.0 - decay)?;
                let _ = average.f_add_(&difference)?;
            }
        }
        Ok(norm)
    }

    fn gradient_norm(&self) -> Result<f64> {
        let mut squares = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let gradient = slot.weight.f_grad()?;
            if gradient.defined() {
                squares.push(gradient.f_square()?.f_sum(Kind::Float)?);
            }
        }
        if squares.is_empty() {
            return Err(RunError::Internal("no parameter of the stage has a gradient".into()));
        }
        Ok(Tensor::f_stack(&squares, 0)?.f_sum(Kind::Double)?.f_double_value(&[])?.sqrt())
    }

    /// Puts the averaged weights in place of the last ones.
    ///
    /// # Errors
    /// libtorch refused.
    pub fn settle(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for slot in &mut self.slots {
            if let Some(average) = &slot.average {
                slot.weight.f_copy_(average)?;
            }
        }
        Ok(())
    }

    /// Everything that a resumed stage needs, sharing memory.
    pub fn state(&self) -> Tensors {
        let mut state = Tensors::new();
        for slot in &self.slots {
            state.insert(format!("weight.{}", slot.name), slot.weight.shallow_clone());
            state.insert(format!("first.{}", slot.name), slot.first.shallow_clone());
            state.insert(format!("second.{}", slot.name), slot.second.shallow_clone());
            if let Some(average) = &slot.average {
                state.insert(format!("average.{}", slot.name), average.shallow_clone());
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn adamw(lr: f64, warmup: u64, decay: Decay, weight_decay: f64, clip: f64) -> OptimizerConfig {
        OptimizerConfig::Adamw { lr, warmup, decay, weight_decay, clip }
    }

    /// One weight, loss 3 w^2, by the algorithm as the paper writes it, in f64.
    fn reference(mut w: f64, steps: u64, lr: f64, weight_decay: f64) -> f64 {
        let (mut m, mut v) = (0.0, 0.0);
        for t in 1..=steps as i32 {
            let g = 6.0 * w;
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            let (m_hat, v_hat) = (m / (1.0 - 0.9f64.powi(t)), v / (1.0 - 0.999f64.powi(t)));
            w -= lr * (m_hat / (v_hat.sqrt() + 1e-8) + weight_decay * w);
        }
        w
    }

    #[test]
    fn steps_are_those_of_the_paper() {
        let weight = Tensor::from_slice(&[1.5f32]).set_requires_grad(true);
        let config = adamw(0.05, 0, Decay::Constant, 0.1, 0.0);
        let mut optimizer = Optimizer::new(config, 40, 0.0, vec![("w".into(), weight.shallow_clone())]).unwrap();
        for step in 0..40 {
            let loss = weight.square().sum(Kind::Float) * 3.0;
            optimizer.step(&loss, step).unwrap();
        }
        let off = (weight.double_value(&[0]) - reference(1.5, 40, 0.05, 0.1)).abs();
        assert!(off < 1e-5, "{off} in f32");
    }

    #[test]
    fn the_learning_rate_rises_and_falls() {
        let config = adamw(1.0, 10, Decay::Cosine, 0.0, 0.0);
        let optimizer = Optimizer::new(config, 110, 0.0, Vec::new()).unwrap();
        let rate = |step| optimizer.learning_rate(step);
        assert!((rate(0) - 0.1).abs() < 1e-12 && (rate(9) - 1.0).abs() < 1e-12);
        assert!((rate(60) - 0.5).abs() < 1e-12 && rate(109) < 1e-3);
    }

    #[test]
    fn gradients_are_clipped_and_averages_follow() {
        let weight = Tensor::zeros([4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let config = adamw(0.1, 0, Decay::Constant, 0.0, 1.0);
        let mut optimizer = Optimizer::new(config, 1, 0.5, vec![("w".into(), weight.shallow_clone())]).unwrap();
        let norm = optimizer.step(&(weight.sum(Kind::Float) * 10.0), 0).unwrap();
        assert!((norm - 20.0).abs() < 1e-4);
        // Clipped to norm 1, each coordinate of the first moment is (1 - beta1) / 2.
        let first = optimizer.state()["first.w"].double_value(&[2]);
        assert!((first - 0.05).abs() < 1e-6, "{first}");
        // The average's first decay is min(0.5, 1/10): it takes nine tenths of the step.
        let (last, average) = (weight.double_value(&[0]), optimizer.state()["average.w"].double_value(&[0]));
        assert!((average - 0.9 * last).abs() < 1e-6);
        optimizer.settle().unwrap();
        assert_eq!(weight.double_value(&[0]), average);
    }
}
