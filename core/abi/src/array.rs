//! `anyflow.array/1`: inference-only modules over arrays in host memory, without libtorch. Since ABI 1.2.

use core::ffi::c_void;

use crate::{ArrayView, Report, StrView};

/// Id of the interface.
pub const ID: &str = "anyflow.array/1";

/// The table of `anyflow.array/1`.
#[repr(C)]
pub struct ArrayInterface {
    /// Size of this struct as the plugin knows it.
    pub struct_size: u32,
    /// `[compute]` Makes an instance of module `id`. `parameters` is a JSON object with every parameter of the
    /// descriptor. `*instance` is set only on success and lives until `destroy`.
    pub create: Option<
        unsafe extern "C" fn(
            id: StrView,
            parameters: StrView,
            report: *const Report,
            instance: *mut *mut c_void,
        ) -> u32,
    >,
    /// `[compute]` Destroys an instance; no call follows.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// `[compute]` Runs one role. Inputs and outputs are `[row, axes of the port]`, row-major in host memory. The host
    /// allocates and zeroes the outputs. Inputs are read-only views of the host's memory. The plugin keeps no pointer
    /// to either after the call.
    pub forward: Option<
        unsafe extern "C" fn(
            instance: *const c_void,
            role: u32,
            inputs: *const ArrayView,
            n_inputs: usize,
            outputs: *const ArrayView,
            n_outputs: usize,
            report: *const Report,
        ) -> u32,
    >,
}
