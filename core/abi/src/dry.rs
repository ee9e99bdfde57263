//! `anyflow.torch.dry/1`: modules without memory, for hosts that give all weights from a file, or want only names and
//! shapes. A plugin that offers `anyflow.torch/1` may offer it beside. Since ABI 1.6.

use core::ffi::c_void;

use crate::{Report, StrView};

/// Id of the interface.
pub const ID: &str = "anyflow.torch.dry/1";

/// The table of `anyflow.torch.dry/1`. All other calls of an instance are those of `anyflow.torch/1`.
#[repr(C)]
pub struct DryInterface {
    /// Size of this struct as the plugin knows it.
    pub struct_size: u32,
    /// `[compute]` As `create` of `anyflow.torch/1`, but draws no value: all elements of a parameter or buffer share the
    /// memory of one (every stride is 0), or the plugin makes it as usual. Before the first `forward`, the host gives
    /// each of them its own memory by `set_data` of the tensor that `parameters` visits, so the plugin keeps this tensor
    /// and computes nothing from its elements in `create`.
    pub create: Option<
        unsafe extern "C" fn(
            id: StrView,
            parameters: StrView,
            device: i64,
            report: *const Report,
            instance: *mut *mut c_void,
        ) -> u32,
    >,
}
