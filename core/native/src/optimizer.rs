//! Fused AdamW.

use std::ffi::c_void;
use std::ptr::NonNull;

use tch::Tensor;

use crate::Result;
use crate::ffi::{self, Handles, Numbers, RawTensors, checked, handle, same_length};

/// The tensors of AdamW: entry i of every list belongs to weight i. They are shared, not copied.
#[derive(Clone, Copy, Debug)]
pub struct AdamwTensors<'a> {
    /// Weights, dense leaves.
    pub weights: &'a [Tensor],
    /// First moments.
    pub first: &'a [Tensor],
    /// Second moments.
    pub second: &'a [Tensor],
    /// Averages of the weights; empty for none.
    pub averages: &'a [Tensor],
    /// Steps taken by each weight: `[weight]`, f32.
    pub counts: &'a Tensor,
    /// f32, 0-dimensional: becomes 1 when a loss or a gradient is NaN or infinite. While it is 1, steps leave weights
    /// and moments unchanged.
    pub failed: &'a Tensor,
}

/// AdamW over a list of weights.
#[derive(Debug)]
pub struct Adamw {
    pointer: NonNull<c_void>,
}

// SAFETY: the pointer owns handles of tensors, whose reference counts are atomic; like a `Tensor`, any thread may own
// it.
unsafe impl Send for Adamw {}

impl Adamw {
    /// Shares these tensors.
    ///
    /// # Errors
    /// The lists have different lengths, or entries differ in shape, layout, dtype or device.
    pub fn new(tensors: &AdamwTensors<'_>) -> Result<Self> {
        let AdamwTensors { weights, first, second, averages, counts, failed } = *tensors;
        same_length("_fused_adamw_", &[weights.len(), first.len(), second.len()])?;
        if !averages.is_empty() {
            same_length("_foreach_lerp_", &[weights.len(), averages.len()])?;
        }
        let count = weights.len();
        let averaged = averages.len();
        let [weights, first, second, averages] = [weights, first, second, averages].map(Handles::new);
        let raw = RawTensors {
            weights: weights.as_ptr(),
            first: first.as_ptr(),
            second: second.as_ptr(),
            averages: averages.as_ptr(),
            counts: handle(counts),
            failed: handle(failed),
        };
        let mut out = std::ptr::null_mut();
        // SAFETY: the lists have the stated number of handles, of tensors that live until the call returns; `out` is
        // written on success.
        checked("_fused_adamw_", unsafe { ffi::anyflow_native_adamw_new(&raw, count, averaged, &mut out) })?;
        // SAFETY: on success `out` is not null, and nothing else owns it.
        Ok(Adamw { pointer: unsafe { NonNull::new_unchecked(out) } })
    }

    /// Takes one step along the gradients of `loss`, one number, which backward passes left in the weights, and clears
    /// them. A weight without gradient takes no step. Returns the norm of the gradient over all weights before
    /// clipping, 0-dimensional, or `None` if no weight has a gradient. Reads nothing back from the device.
    ///
    /// # Errors
    /// A gradient differs from its weight in shape, dtype or device; then nothing is written.
    pub fn step(&mut self, numbers: &Numbers, loss: &Tensor) -> Result<Option<Tensor>> {
        let mut norm = std::ptr::null_mut();
        // SAFETY: `new` made the pointer; `norm` is written on success.
        let code = unsafe { ffi::anyflow_native_adamw_step(self.pointer.as_ptr(), numbers, handle(loss), &mut norm) };
        checked("_fused_adamw_", code)?;
        // SAFETY: on success `norm` is null or a new handle, and nothing else owns it.
        Ok((!norm.is_null()).then(|| unsafe { Tensor::from_ptr(norm.cast()) }))
    }
}

impl Drop for Adamw {
    fn drop(&mut self) {
        // SAFETY: `new` made the pointer, and it is not used afterwards.
        unsafe { ffi::anyflow_native_adamw_free(self.pointer.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    const NUMBERS: Numbers =
        Numbers { lr: 0.05, beta1: 0.9, beta2: 0.999, weight_decay: 0.1, epsilon: 1e-8, clip: 0.0, average: 0.125 };

    struct State {
        weights: Vec<Tensor>,
        first: Vec<Tensor>,
        second: Vec<Tensor>,
        averages: Vec<Tensor>,
        counts: Tensor,
        failed: Tensor,
    }

    fn ramp(n: i64) -> Tensor {
        (Tensor::arange(n, (Kind::Float, Device::Cpu)) * 0.37).cos()
    }

    fn double(tensor: &Tensor) -> Tensor {
        tensor.detach().to_kind(Kind::Double)
    }

    impl State {
        fn of(weights: Vec<Tensor>) -> Self {
            let zeros = |all: &[Tensor]| all.iter().map(|weight| weight.detach().zeros_like()).collect::<Vec<_>>();
            let first = zeros(&weights);
            let second = zeros(&weights);
            let averages = weights.iter().map(Tensor::detach_copy).collect();
            let counts = Tensor::zeros([weights.len() as i64], (Kind::Float, Device::Cpu));
            let failed = Tensor::zeros([0i64; 0], (Kind::Float, Device::Cpu));
            State { first, second, averages, counts, failed, weights }
        }

        /// A matrix, a vector whose length is not a multiple of a register, and a transposed matrix.
        fn new() -> Self {
            let weights = [ramp(12).reshape([3, 4]), ramp(19), ramp(10).reshape([2, 5]).transpose(0, 1)];
            State::of(weights.into_iter().map(|weight| weight.set_requires_grad(true)).collect())
        }

        fn adamw(&self) -> Result<Adamw> {
            Adamw::new(&AdamwTensors {
                weights: &self.weights,
                first: &self.first,
                second: &self.second,
                averages: &self.averages,
                counts: &self.counts,
                failed: &self.failed,
            })
        }

        /// The sum over the weights in `used` of |w|^2 / 2 + sum(sin w), with its gradients left in them.
        fn loss(&self, used: &[usize]) -> Tensor {
            let of = |i: &usize| (self.weights[*i].square() * 0.5 + self.weights[*i].sin()).sum(Kind::Float);
            let loss = used.iter().map(of).reduce(|sum, term| sum + term).unwrap();
            loss.backward();
            loss
        }

        fn kept(&self) -> Vec<Tensor> {
            self.weights.iter().chain(&self.first).chain(&self.second).map(Tensor::detach_copy).collect()
        }
    }

    const ALL: &[usize] = &[0, 1, 2];

    /// The algorithm as in the paper, in f64, with a scaled gradient.
    fn reference(mut w: Tensor, steps: i32, scale: f64) -> Tensor {
        let mut m = w.zeros_like();
        let mut v = w.zeros_like();
        for t in 1..=steps {
            let g = (&w + w.cos()) * scale;
            m = m * NUMBERS.beta1 + &g * (1.0 - NUMBERS.beta1);
            v = v * NUMBERS.beta2 + g.square() * (1.0 - NUMBERS.beta2);
            let m_hat = &m / (1.0 - NUMBERS.beta1.powi(t));
            let v_hat = &v / (1.0 - NUMBERS.beta2.powi(t));
            let update = m_hat / (v_hat.sqrt() + NUMBERS.epsilon) + &w * NUMBERS.weight_decay;
            w -= update * NUMBERS.lr;
        }
        w
    }

    fn off(found: &Tensor, wanted: &Tensor) -> f64 {
        (double(found) - wanted).abs().max().double_value(&[])
    }

    #[test]
    fn steps_match_the_paper() {
        let state = State::new();
        let wanted: Vec<Tensor> = state.weights.iter().map(|weight| reference(double(weight), 30, 1.0)).collect();
        let mut adamw = state.adamw().unwrap();
        for _ in 0..30 {
            let loss = state.loss(ALL);
            drop(adamw.step(&NUMBERS, &loss).unwrap().unwrap());
        }
        for (found, wanted) in state.weights.iter().zip(&wanted) {
            assert!(off(found, wanted) < 2e-6, "{} in f32", off(found, wanted));
        }
        assert_eq!(Vec::<f32>::try_from(&state.counts).unwrap(), [30.0; 3]);
    }

    #[test]
    fn the_norm_covers_all_elements_and_clips() {
        // Above and below the size from which libtorch's own kernels are used.
        for size in [5000, (1 << 20) + 3] {
            let state = State::of(vec![ramp(size).set_requires_grad(true), ramp(7).set_requires_grad(true)]);
            let loss = state.loss(&[0, 1]);
            let sum = |weight: &Tensor| double(&weight.grad()).square().sum(Kind::Double).double_value(&[]);
            let wanted = state.weights.iter().map(sum).sum::<f64>().sqrt();
            let gradient = double(&state.weights[0].grad());
            let found = state.adamw().unwrap().step(&Numbers { clip: 2.0, ..NUMBERS }, &loss).unwrap().unwrap();
            assert!(found.size().is_empty());
            assert!((found.double_value(&[]) / wanted - 1.0).abs() < 1e-6, "{found} for {wanted} in f32");
            let moment = gradient * (2.0 / wanted * (1.0 - NUMBERS.beta1));
            assert!(off(&state.first[0], &moment) < 1e-7, "{} in f32", off(&state.first[0], &moment));
        }
    }

    #[test]
    fn averages_move_by_their_weight() {
        let state = State::new();
        let start: Vec<Tensor> = state.weights.iter().map(double).collect();
        let loss = state.loss(ALL);
        state.adamw().unwrap().step(&NUMBERS, &loss).unwrap();
        for ((average, weight), start) in state.averages.iter().zip(&state.weights).zip(&start) {
            let wanted = start + (double(weight) - start) * 0.125;
            assert!(off(average, &wanted) < 1e-6, "{} in f32", off(average, &wanted));
        }
    }

    #[test]
    fn a_weight_without_gradient_takes_no_step() {
        let state = State::new();
        let mut adamw = state.adamw().unwrap();
        let before = state.kept();
        let loss = state.loss(&[0, 2]);
        drop(adamw.step(&NUMBERS, &loss).unwrap().unwrap());
        let changed: Vec<bool> = state.kept().iter().zip(&before).map(|(now, before)| now != before).collect();
        assert_eq!(changed, [true, false, true].repeat(3));
        assert_eq!(Vec::<f32>::try_from(&state.counts).unwrap(), [1.0, 0.0, 1.0]);
        assert!(adamw.step(&NUMBERS, &loss).unwrap().is_none(), "the gradients were taken away");
        assert!(state.weights.iter().all(|weight| !weight.grad().defined()));
    }

    #[test]
    fn no_weight_changes_once_a_loss_is_not_finite() {
        let state = State::new();
        let mut adamw = state.adamw().unwrap();
        let loss = state.loss(ALL);
        adamw.step(&NUMBERS, &loss).unwrap();
        let before = state.kept();
        for bad in [true, false] {
            let loss = state.loss(ALL);
            let loss = if bad { loss * f64::NAN } else { loss };
            adamw.step(&NUMBERS, &loss).unwrap();
            assert_eq!(state.failed.double_value(&[]), 1.0);
            assert!(state.kept().iter().zip(&before).all(|(now, before)| now == before));
        }
    }

    #[test]
    fn entries_that_do_not_match_are_rejected_before_anything_is_written() {
        let mut state = State::new();
        state.first[1] = Tensor::zeros([18], (Kind::Float, Device::Cpu));
        let error = state.adamw().unwrap_err().to_string();
        assert!(error.contains("first moment 1 has shape [18]"), "{error}");
        assert!(!error.contains('\n') && !error.contains("frame #"), "{error}");
        state.first[1] = Tensor::zeros([19], (Kind::Double, Device::Cpu));
        let error = state.adamw().unwrap_err().to_string();
        assert!(error.contains("first moment 1 is Double"), "{error}");
        state.first.pop();
        assert!(state.adamw().unwrap_err().to_string().contains("[3, 2, 3]"));
    }
}
