//! Rollback after a NaN or infinite loss.

use tch::Tensor;

use crate::Result;
use crate::checkpoint::Tensors;

/// Maximum number of rollbacks of a stage.
pub const MOST_ROLLBACKS: u64 = 3;

/// The last good state of a stage.
///
/// A state is good if all losses and gradients up to it are finite. It is kept on the device, at the steps where metrics
/// are logged and the state may be saved. So a resumed stage rolls back to the same step as an uninterrupted one.
pub struct Guard {
    state: Tensors,
    good: Vec<Tensor>,
    /// The step of the good state.
    pub step: u64,
    /// Number of rollbacks.
    pub rollbacks: u64,
}

impl Guard {
    /// Starts with `state` as the good state of `step`. It shares memory with the trained networks.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(state: Tensors, step: u64, rollbacks: u64) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let good = state.values().map(|tensor| Ok(tensor.f_detach_copy()?)).collect::<Result<_>>()?;
        Ok(Guard { state, good, step, rollbacks })
    }

    /// The current state, sharing memory.
    pub fn state(&self) -> &Tensors {
        &self.state
    }

    /// Makes the current state the good one.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn keep(&mut self, step: u64) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (good, now) in self.good.iter_mut().zip(self.state.values()) {
            good.f_copy_(now)?;
        }
        self.step = step;
        Ok(())
    }

    /// Restores the good state.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn roll_back(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (good, now) in self.good.iter().zip(self.state.values()) {
            now.shallow_clone().f_copy_(good)?;
        }
        self.rollbacks += 1;
        Ok(())
    }

    /// The factor of the learning rate: it halves with each rollback.
    pub fn rate(&self) -> f64 {
        0.5f64.powi(self.rollbacks as i32)
    }

    /// The seed of rows and noise: it changes with each rollback.
    pub fn seed(&self, seed: u64) -> u64 {
        seed ^ self.rollbacks.wrapping_mul(0xD1B5_4A32_D192_ED03)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_restores_the_last_good_state() {
        let mut weight = Tensor::from_slice(&[1.0f32, 2.0]);
        let mut guard = Guard::new(Tensors::from([("w".to_string(), weight.shallow_clone())]), 0, 0).unwrap();
        assert_eq!((guard.rate(), guard.seed(9)), (1.0, 9));
        let _ = weight.fill_(3.0);
        guard.keep(50).unwrap();
        let _ = weight.fill_(f64::NAN);
        guard.roll_back().unwrap();
        assert_eq!(Vec::<f32>::try_from(&weight).unwrap(), [3.0, 3.0]);
        assert_eq!((guard.step, guard.rollbacks, guard.rate()), (50, 1, 0.5));
        assert_ne!(guard.seed(9), 9);
    }
}
