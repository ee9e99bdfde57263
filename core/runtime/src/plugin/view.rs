//! Views of host memory for the ABI.

use std::ffi::c_void;

use anyflow_abi::{ArrayView, DataType, Device, dtype};
use tch::Kind;

/// Views a row-major array at `data`. The view is valid as long as the memory and `shape`.
pub(super) fn dense(data: *mut c_void, shape: &[i64], dtype: DataType) -> ArrayView {
    ArrayView {
        data,
        device: Device { kind: 1, id: 0 },
        ndim: shape.len() as i32,
        dtype,
        shape: shape.as_ptr(),
        strides: std::ptr::null(),
        byte_offset: 0,
    }
}

/// The libtorch type of a descriptor's dtype.
pub(super) fn kind_of(dtype: &str) -> Option<Kind> {
    match dtype {
        "f32" => Some(Kind::Float),
        "i64" => Some(Kind::Int64),
        "u8" => Some(Kind::Uint8),
        _ => None,
    }
}

/// The ABI's type of an element, if ports can have it.
pub(super) fn data_type(kind: Kind) -> Option<DataType> {
    match kind {
        Kind::Float => Some(dtype::F32),
        Kind::Int64 => Some(dtype::I64),
        Kind::Uint8 => Some(dtype::U8),
        _ => None,
    }
}
