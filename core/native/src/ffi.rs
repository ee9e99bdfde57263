//! The border to `shim/native.cpp`: the structs that both sides lay out alike, the functions, and helpers for calling them.

use std::borrow::Borrow;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

use tch::Tensor;

use crate::{NativeError, Result};

/// A `const at::Tensor *`, which is what a [`Tensor`] holds.
pub(crate) type Handle = *const c_void;

/// The tensors of [`crate::AdamwTensors`].
#[repr(C)]
pub(crate) struct RawTensors {
    pub weights: *const Handle,
    pub first: *const Handle,
    pub second: *const Handle,
    pub averages: *const Handle,
    pub counts: Handle,
    pub failed: Handle,
}

/// The numbers of a step of AdamW, in the letters of Loshchilov and Hutter 2019, "Decoupled weight decay
/// regularization", algorithm 2.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Numbers {
    /// Learning rate, alpha.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Weight decay, lambda, a multiple of the learning rate.
    pub weight_decay: f64,
    /// Keeps the division finite.
    pub epsilon: f64,
    /// Maximum norm of the gradient over all weights; 0 for no limit.
    pub clip: f64,
    /// How far the averages move towards the weights after the step.
    pub average: f64,
}

/// A snapshot of libtorch's settings.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Globals {
    pub(crate) threads: i32,
    pub(crate) grad: i32,
    pub(crate) inference: i32,
    pub(crate) deterministic: i32,
    pub(crate) dtype: i32,
}

unsafe extern "C" {
    fn anyflow_native_error() -> *const c_char;
    pub(crate) fn anyflow_native_adamw_new(
        tensors: *const RawTensors,
        count: usize,
        averages: usize,
        out: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn anyflow_native_adamw_free(adamw: *mut c_void) -> c_int;
    pub(crate) fn anyflow_native_adamw_step(
        adamw: *const c_void,
        numbers: *const Numbers,
        loss: Handle,
        norm: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn anyflow_native_inference_mode(out: *mut *mut c_void) -> c_int;
    pub(crate) fn anyflow_native_leave_inference_mode(guard: *mut c_void) -> c_int;
    pub(crate) fn anyflow_native_globals(out: *mut Globals) -> c_int;
    pub(crate) fn anyflow_native_set_globals(globals: *const Globals) -> c_int;
}

/// Borrowed tensors in the layout of the shim.
pub(crate) struct Handles<'a> {
    pointers: Vec<Handle>,
    tensors: PhantomData<&'a Tensor>,
}

impl<'a> Handles<'a> {
    pub fn new<T: Borrow<Tensor>>(tensors: &'a [T]) -> Self {
        let pointers = tensors.iter().map(|tensor| handle(tensor.borrow())).collect();
        Handles { pointers, tensors: PhantomData }
    }

    pub fn as_ptr(&self) -> *const Handle {
        self.pointers.as_ptr()
    }
}

/// The handle of a tensor, valid as long as the tensor.
pub(crate) fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast()
}

/// Turns the return code of a call into a result. It must follow the call, on the same thread.
pub(crate) fn checked(op: &'static str, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the shim returns a string that ends with 0 and lives until the next call on this thread.
    let text = unsafe { CStr::from_ptr(anyflow_native_error()) }.to_string_lossy();
    Err(NativeError { op, message: text.lines().next().unwrap_or_default().to_string() })
}

/// Checks that lists belonging together have one length.
pub(crate) fn same_length(op: &'static str, lengths: &[usize]) -> Result<()> {
    if lengths.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(());
    }
    Err(NativeError { op, message: format!("lists of different lengths: {lengths:?}") })
}
