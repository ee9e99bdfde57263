//! `anyflow.torch/1`: modules that exchange tensors as libtorch handles, so that gradients flow through the ABI.
//!
//! A handle is a pointer to an `at::Tensor`, as in `tch` and the C++ API. Host and plugin must be built for the same
//! libtorch version, and share one loaded copy of it.

use core::ffi::c_void;

use crate::{Report, StrView};

/// Id of the interface.
pub const ID: &str = "anyflow.torch/1";

/// Roles, as numbers.
pub mod role {
    /// Array -> latent.
    pub const ENCODE: u32 = 1;
    /// Latent -> array.
    pub const DECODE: u32 = 2;
    /// Array -> conditioning tokens.
    pub const EMBED: u32 = 3;
    /// Latent -> shared space.
    pub const ALIGN: u32 = 4;
    /// Array or latent -> scores.
    pub const SCORE: u32 = 5;
    /// Array or latent -> features: the activations before the last layer of a scorer. Optional for scorers. Since ABI
    /// 1.1.
    pub const FEATURES: u32 = 6;
    /// Array or latent -> perceptual features: the sum of their squared differences is a perceptual distance. Optional
    /// for scorers. Since ABI 1.4.
    pub const PERCEPTUAL: u32 = 7;
    /// Array -> vector of the whole. Optional for modules that embed. Since ABI 1.5.
    pub const POOL: u32 = 8;
}

/// A pointer to an `at::Tensor`.
pub type TensorHandle = *mut c_void;

/// `[compute]` Receives the parameters of an instance one by one, during the call that it was passed to. `tensor` is
/// borrowed: the host makes its own shallow copy.
pub type Visit = unsafe extern "C" fn(context: *mut c_void, name: StrView, tensor: TensorHandle, trainable: u32);

/// The table of `anyflow.torch/1`.
#[repr(C)]
pub struct TorchInterface {
    /// Size of this struct as the plugin knows it.
    pub struct_size: u32,
    /// libtorch version that the plugin was built for, e.g. `2.11.0`. Static.
    pub libtorch: StrView,
    /// `[compute]` Makes an instance of module `id` with freshly initialized parameters. `device` is -1 for the CPU,
    /// else the CUDA ordinal. `*instance` is set only on success and lives until `destroy`.
    pub create: Option<
        unsafe extern "C" fn(
            id: StrView,
            parameters: StrView,
            device: i64,
            report: *const Report,
            instance: *mut *mut c_void,
        ) -> u32,
    >,
    /// `[compute]` Destroys an instance; no call follows.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// `[compute]` Visits every parameter and buffer in a fixed order, with its stable name.
    pub parameters: Option<
        unsafe extern "C" fn(instance: *const c_void, visit: Visit, context: *mut c_void, report: *const Report) -> u32,
    >,
    /// `[compute]` Runs one role. Inputs are `[row, axes of the port]`, borrowed and read-only. Outputs are new
    /// handles, never those of inputs; they are set only on success, and the host owns them afterwards. `train` is 1
    /// during training.
    pub forward: Option<
        unsafe extern "C" fn(
            instance: *const c_void,
            role: u32,
            train: u32,
            inputs: *const TensorHandle,
            n_inputs: usize,
            outputs: *mut TensorHandle,
            n_outputs: usize,
            report: *const Report,
        ) -> u32,
    >,
}

// SAFETY: an interface table is immutable and points at static data only.
#[allow(unsafe_code)]
unsafe impl Sync for TorchInterface {}
