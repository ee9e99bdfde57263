//! libtorch's inference mode.

use std::ffi::c_void;
use std::marker::PhantomData;

use crate::Result;
use crate::ffi::{self, checked};

/// While it is alive, the operations of this thread record nothing: no gradients, no versions, no views. That is a few
/// percent cheaper per call than [`tch::no_grad_guard`]; in exchange, a tensor made under it can never take part in a
/// computation with gradients.
pub struct InferenceMode {
    guard: *mut c_void,
    /// The mode belongs to the thread: the guard must end on the thread where it started.
    thread: PhantomData<*const ()>,
}

impl InferenceMode {
    /// Enters inference mode until the guard is dropped. Guards must end in reverse order.
    ///
    /// # Errors
    /// No memory for the guard.
    pub fn enter() -> Result<Self> {
        let mut guard = std::ptr::null_mut();
        // SAFETY: `guard` is written on success.
        let code = unsafe { ffi::anyflow_native_inference_mode(&mut guard) };
        checked("InferenceMode", code)?;
        Ok(InferenceMode { guard, thread: PhantomData })
    }
}

impl Drop for InferenceMode {
    fn drop(&mut self) {
        // SAFETY: `enter` made the guard on this thread, since the type is not `Send`, and it ends once. Its destructor
        // only restores thread-local flags, so there is no error to report.
        unsafe { ffi::anyflow_native_leave_inference_mode(self.guard) };
    }
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::*;

    #[test]
    fn nothing_is_recorded_while_the_guard_lives() {
        let weight = Tensor::from_slice(&[2.0f32]).set_requires_grad(true);
        let guard = InferenceMode::enter().unwrap();
        let inside = &weight * 3.0;
        assert!(!inside.requires_grad());
        drop(guard);
        assert!((&weight * 3.0).requires_grad(), "the mode has ended");
        assert_eq!(inside.double_value(&[0]), 6.0);
    }

    #[test]
    fn a_tensor_of_inference_mode_cannot_be_kept_for_gradients() {
        let weight = Tensor::from_slice(&[2.0f32]).set_requires_grad(true);
        let made = {
            let _guard = InferenceMode::enter().unwrap();
            Tensor::from_slice(&[3.0f32])
        };
        let error = weight.f_mul(&made).unwrap_err().to_string();
        assert!(error.contains("Inference tensors cannot be saved for backward"), "{error}");
    }
}
