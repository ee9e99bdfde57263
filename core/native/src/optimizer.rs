//! Fused AdamW.

use tch::Tensor;

use crate::Result;
use crate::ffi::{self, Handles, RawLists, RawNumbers, checked, handle, same_length};

/// What a step of AdamW reads and writes: entry i of every list belongs to weight i.
pub struct AdamwLists<'a> {
    /// Weights, dense.
    pub weights: &'a [&'a Tensor],
    /// Their gradients, all defined.
    pub gradients: &'a [&'a Tensor],
    /// First moments.
    pub first: &'a [&'a Tensor],
    /// Second moments.
    pub second: &'a [&'a Tensor],
    /// How many steps each weight has taken: f32, one element, on the weight's device.
    pub steps: &'a [&'a Tensor],
}

/// The numbers of a step, by the letters of Loshchilov and Hutter 2019, "Decoupled weight decay regularization",
/// algorithm 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adamw {
    /// Learning rate, alpha.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Weight decay, lambda, a multiple of the learning rate.
    pub weight_decay: f64,
    /// What keeps the division finite.
    pub epsilon: f64,
}

/// One step of AdamW over all weights in one kernel; counts the step in `steps`.
///
/// `divisor`, one f32 on the device, divides the gradients as they are read, and is stored with them. Where `skip`, one
/// f32 on the device, is 1, weights and moments stay as they are (the counts do not). Neither is read by the host.
///
/// # Errors
/// Lists of different lengths; entries that differ in shape, layout, dtype or device.
pub fn fused_adamw_(
    lists: &AdamwLists<'_>,
    numbers: Adamw,
    divisor: Option<&Tensor>,
    skip: Option<&Tensor>,
) -> Result<()> {
    let AdamwLists { weights, gradients, first, second, steps } = lists;
    same_length("_fused_adamw_", &[weights.len(), gradients.len(), first.len(), second.len(), steps.len()])?;
    let Adamw { lr, beta1, beta2, weight_decay, epsilon } = numbers;
    let numbers = RawNumbers { lr, beta1, beta2, weight_decay, epsilon };
    let [weights, gradients, first, second, steps] =
        [weights, gradients, first, second, steps].map(|l| Handles::new(l));
    let raw = RawLists {
        weights: weights.as_ptr(),
        gradients: gradients.as_ptr(),
        first: first.as_ptr(),
        second: second.as_ptr(),
        steps: steps.as_ptr(),
    };
    let pointer = |tensor: Option<&Tensor>| tensor.map_or(std::ptr::null(), handle);
    // SAFETY: all lists have `len` handles of tensors that live until the call returns; null means none.
    let code =
        unsafe { ffi::anyflow_native_fused_adamw_(&raw, weights.len(), &numbers, pointer(divisor), pointer(skip)) };
    checked("_fused_adamw_", code)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    const NUMBERS: Adamw = Adamw { lr: 0.05, beta1: 0.9, beta2: 0.999, weight_decay: 0.1, epsilon: 1e-8 };

    struct State {
        weights: Vec<Tensor>,
        first: Vec<Tensor>,
        second: Vec<Tensor>,
        steps: Vec<Tensor>,
    }

    impl State {
        /// A matrix, a vector whose length is no multiple of a register, and a transposed matrix.
        fn new() -> Self {
            let ramp = |n: i64| (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.37).cos();
            let weights = vec![ramp(12).reshape([3, 4]), ramp(19), ramp(10).reshape([2, 5]).transpose(0, 1)];
            let zeros = |all: &[Tensor]| all.iter().map(Tensor::zeros_like).collect::<Vec<_>>();
            let steps = weights.iter().map(|_| Tensor::zeros([0i64; 0], (Kind::Float, Device::Cpu))).collect();
            State { first: zeros(&weights), second: zeros(&weights), steps, weights }
        }

        fn step(&self, gradients: &[Tensor], divisor: Option<&Tensor>, skip: Option<&Tensor>) -> Result<()> {
            let all = [&self.weights, &self.first, &self.second, &self.steps];
            let [weights, first, second, steps] = all.map(|list| list.iter().collect::<Vec<_>>());
            let gradients: Vec<&Tensor> = gradients.iter().collect();
            let lists =
                AdamwLists { weights: &weights, gradients: &gradients, first: &first, second: &second, steps: &steps };
            fused_adamw_(&lists, NUMBERS, divisor, skip)
        }
    }

    /// The gradient of the loss |w|^2 / 2 + sum(sin w).
    fn gradient(weight: &Tensor) -> Tensor {
        weight + weight.cos()
    }

    /// The algorithm as the paper writes it, in f64.
    fn reference(mut w: Tensor, steps: i32, scale: f64) -> Tensor {
        let (mut m, mut v) = (w.zeros_like(), w.zeros_like());
        for t in 1..=steps {
            let g = gradient(&w) * scale;
            m = m * NUMBERS.beta1 + &g * (1.0 - NUMBERS.beta1);
            v = v * NUMBERS.beta2 + g.square() * (1.0 - NUMBERS.beta2);
            let (m_hat, v_hat) = (&m / (1.0 - NUMBERS.beta1.powi(t)), &v / (1.0 - NUMBERS.beta2.powi(t)));
            let update = m_hat / (v_hat.sqrt() + NUMBERS.epsilon) + &w * NUMBERS.weight_decay;
            w = w - update * NUMBERS.lr;
        }
        w
    }

    #[test]
    fn steps_are_those_of_the_paper_with_and_without_a_divisor() {
        for divisor in [None, Some(4.0f32)] {
            let state = State::new();
            let scale = divisor.map_or(1.0, |divisor| 1.0 / f64::from(divisor));
            let start = |weight: &Tensor| reference(weight.to_kind(Kind::Double), 30, scale);
            let wanted: Vec<Tensor> = state.weights.iter().map(start).collect();
            let divisor = divisor.map(|divisor| Tensor::from_slice(&[divisor]));
            for _ in 0..30 {
                let gradients: Vec<Tensor> = state.weights.iter().map(|w| gradient(w).contiguous()).collect();
                state.step(&gradients, divisor.as_ref(), None).unwrap();
            }
            for (found, wanted) in state.weights.iter().zip(&wanted) {
                let off = (found.to_kind(Kind::Double) - wanted).abs().max().double_value(&[]);
                assert!(off < 2e-6, "{off} in f32");
            }
            assert!(state.steps.iter().all(|steps| steps.double_value(&[]) == 30.0));
        }
    }

    #[test]
    fn a_skipped_step_changes_no_weight_and_no_moment() {
        let state = State::new();
        let bad: Vec<Tensor> = state.weights.iter().map(|weight| weight * f64::NAN).collect();
        let good: Vec<Tensor> = state.weights.iter().map(gradient).collect();
        state.step(&good, None, Some(&Tensor::from_slice(&[0.0f32]))).unwrap();
        let all = || state.weights.iter().chain(&state.first).chain(&state.second);
        let before: Vec<Tensor> = all().map(Tensor::copy).collect();
        state.step(&bad, None, Some(&Tensor::from_slice(&[1.0f32]))).unwrap();
        assert!(all().zip(&before).all(|(now, before)| now == before));
    }

    #[test]
    fn entries_that_do_not_fit_are_refused_before_anything_is_written() {
        let state = State::new();
        let mut gradients: Vec<Tensor> = state.weights.iter().map(gradient).collect();
        gradients[1] = Tensor::zeros([18], (Kind::Float, Device::Cpu));
        let error = state.step(&gradients, None, None).unwrap_err().to_string();
        assert!(error.contains("gradient 1 has shape [18]"), "{error}");
        gradients[1] = Tensor::zeros([19], (Kind::Double, Device::Cpu));
        let error = state.step(&gradients, None, None).unwrap_err().to_string();
        assert!(error.contains("gradient 1 is Double"), "{error}");
        assert!(state.step(&gradients[..2], None, None).unwrap_err().to_string().contains("[3, 2, 3, 3, 3]"));
        assert!(state.steps.iter().all(|steps| steps.double_value(&[]) == 0.0));
    }
}
