//! `anyflow.codec/1`: raw cells <-> dense arrays, on the CPU, without libtorch.

use core::ffi::c_void;

use crate::{ArrayView, CellView, Report, StrView};

/// Id of the interface.
pub const ID: &str = "anyflow.codec/1";

/// The table of `anyflow.codec/1`.
#[repr(C)]
pub struct CodecInterface {
    /// Size of this struct as the plugin knows it.
    pub struct_size: u32,
    /// `[main]` Makes an instance of codec `id`. `parameters` is a JSON object with every parameter of the
    /// descriptor. `*instance` is set only on success and lives until `destroy`.
    pub create: Option<
        unsafe extern "C" fn(
            id: StrView,
            parameters: StrView,
            report: *const Report,
            instance: *mut *mut c_void,
        ) -> u32,
    >,
    /// `[main]` Destroys an instance; no call is under way and none follows.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// `[worker]` Encodes `rows` cells into `array`, `[row, axes of the descriptor]`, which the host allocates and
    /// zeroes. Reports an error with the number of each row that it cannot encode, and leaves zeros in that row. The
    /// cells are read-only.
    pub encode: Option<
        unsafe extern "C" fn(
            instance: *const c_void,
            cells: *const CellView,
            rows: usize,
            array: *const ArrayView,
            report: *const Report,
        ) -> u32,
    >,
    /// `[worker]` Decodes every row of `array`, `[row, axes of the descriptor]`. Reports a cell or an error for each
    /// row. The array is a read-only view of the host's memory.
    pub decode:
        Option<unsafe extern "C" fn(instance: *const c_void, array: *const ArrayView, report: *const Report) -> u32>,
}
