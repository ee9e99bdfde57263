//! The functions of `shim/native.cpp`, and what all calls to them share.

use std::borrow::Borrow;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

use tch::Tensor;

use crate::{NativeError, Result};

/// A `const at::Tensor *`, which is what a [`Tensor`] holds.
pub(crate) type Handle = *const c_void;

/// The lists of [`crate::AdamwLists`].
#[repr(C)]
pub(crate) struct RawLists {
    pub weights: *const Handle,
    pub gradients: *const Handle,
    pub first: *const Handle,
    pub second: *const Handle,
    pub steps: *const Handle,
}

/// The numbers of [`crate::Adamw`].
#[repr(C)]
pub(crate) struct RawNumbers {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub weight_decay: f64,
    pub epsilon: f64,
}

unsafe extern "C" {
    fn anyflow_native_error() -> *const c_char;
    pub(crate) fn anyflow_native_gradients(tensors: *const Handle, count: usize, out: *mut *mut c_void) -> c_int;
    pub(crate) fn anyflow_native_clear_gradients(tensors: *const Handle, count: usize) -> c_int;
    pub(crate) fn anyflow_native_fused_adamw_(
        lists: *const RawLists,
        count: usize,
        numbers: *const RawNumbers,
        divisor: Handle,
        skip: Handle,
    ) -> c_int;
    pub(crate) fn anyflow_native_foreach_lerp_(
        tensors: *const Handle,
        ends: *const Handle,
        count: usize,
        weight: f64,
    ) -> c_int;
    pub(crate) fn anyflow_native_norm(tensors: *const Handle, count: usize, out: *mut *mut c_void) -> c_int;
    pub(crate) fn anyflow_native_inference_mode(out: *mut *mut c_void) -> c_int;
    pub(crate) fn anyflow_native_leave_inference_mode(guard: *mut c_void) -> c_int;
}

/// Borrowed tensors as the shim takes them.
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

    pub fn len(&self) -> usize {
        self.pointers.len()
    }
}

/// The handle of a tensor, valid as long as the tensor.
pub(crate) fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast()
}

/// The error of a call that has just returned `code`, on the same thread.
pub(crate) fn checked(op: &'static str, code: c_int) -> Result<()> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the shim gives a string that ends with 0 and lives until the next call on this thread.
    let text = unsafe { CStr::from_ptr(anyflow_native_error()) }.to_string_lossy();
    Err(NativeError { op, message: text.lines().next().unwrap_or_default().to_string() })
}

/// Lists that go together must be of one length.
pub(crate) fn same_length(op: &'static str, lengths: &[usize]) -> Result<()> {
    match lengths.windows(2).all(|pair| pair[0] == pair[1]) {
        true => Ok(()),
        false => Err(NativeError { op, message: format!("lists of different lengths: {lengths:?}") }),
    }
}
