//! The way back from a loss that is no longer a number.

use tch::Tensor;

use crate::Result;
use crate::checkpoint::Tensors;

/// How often a stage may go back before it gives up.
pub const MOST_ROLLBACKS: u64 = 3;

/// The last good state of a stage, and how often it was needed.
///
/// A state is good when the steps up to it had finite losses and gradients. It is kept on the device at the steps where
/// metrics are logged and the state may be saved, so that a resumed stage goes back to the same step as one that was
/// never interrupted.
pub struct Guard {
    state: Tensors,
    good: Vec<Tensor>,
    /// The step of the good state.
    pub step: u64,
    /// How often the stage went back.
    pub rollbacks: u64,
}

impl Guard {
    /// Takes `state`, which shares memory with what is trained, as good at `step`.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(state: Tensors, step: u64, rollbacks: u64) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let good = state.values().map(|tensor| Ok(tensor.f_detach_copy()?)).collect::<Result<_>>()?;
        Ok(Guard { state, good, step, rollbacks })
    }

    /// The state as it is now, sharing memory.
    pub fn state(&self) -> &Tensors {
        &self.state
    }

    /// Takes the state as it is now as good.
    ///
    /// # Errors
    /// libtorch refused.
    pub fn keep(&mut self, step: u64) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (good, now) in self.good.iter_mut().zip(self.state.values()) {
            good.f_copy_(now)?;
        }
        self.step = step;
        Ok(())
    }

    /// Puts the good state back.
    ///
    /// # Errors
    /// libtorch refused.
    pub fn go_back(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (good, now) in self.good.iter().zip(self.state.values()) {
            now.shallow_clone().f_copy_(good)?;
        }
        self.rollbacks += 1;
        Ok(())
    }

    /// What the learning rate is multiplied by from here on.
    pub fn rate(&self) -> f64 {
        0.5f64.powi(self.rollbacks as i32)
    }

    /// The seed of rows and noise from here on: other draws after each way back.
    pub fn seed(&self, seed: u64) -> u64 {
        seed ^ self.rollbacks.wrapping_mul(0xD1B5_4A32_D192_ED03)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_goes_back_to_the_last_good_one() {
        let mut weight = Tensor::from_slice(&[1.0f32, 2.0]);
        let mut guard = Guard::new(Tensors::from([("w".to_string(), weight.shallow_clone())]), 0, 0).unwrap();
        assert_eq!((guard.rate(), guard.seed(9)), (1.0, 9));
        let _ = weight.fill_(3.0);
        guard.keep(50).unwrap();
        let _ = weight.fill_(f64::NAN);
        guard.go_back().unwrap();
        assert_eq!(Vec::<f32>::try_from(&weight).unwrap(), [3.0, 3.0]);
        assert_eq!((guard.step, guard.rollbacks, guard.rate()), (50, 1, 0.5));
        assert_ne!(guard.seed(9), 9);
    }
}
