//! Dense host arrays as slices.

use crate::Error;
use crate::abi::{ArrayView, DataType, dtype};

/// Element types of arrays.
pub trait Element: Copy + 'static {
    /// Name in descriptors.
    const NAME: &'static str;
    /// Type in the ABI.
    const DATA_TYPE: DataType;
    /// The value that the host fills arrays with.
    const ZERO: Self;
}

impl Element for f32 {
    const NAME: &'static str = "f32";
    const DATA_TYPE: DataType = dtype::F32;
    const ZERO: Self = 0.0;
}

impl Element for i64 {
    const NAME: &'static str = "i64";
    const DATA_TYPE: DataType = dtype::I64;
    const ZERO: Self = 0;
}

impl Element for u8 {
    const NAME: &'static str = "u8";
    const DATA_TYPE: DataType = dtype::U8;
    const ZERO: Self = 0;
}

/// Sizes, first element and number of elements of a dense host array with `axes` axes after the rows.
///
/// # Safety
/// `array` is as the ABI says: `ndim` readable sizes, and memory for their product, for `'a`.
pub(crate) unsafe fn dense<'a, E: Element>(
    array: &ArrayView,
    axes: usize,
) -> Result<(&'a [i64], *mut E, usize), Error> {
    if array.device.kind != 1 || !array.strides.is_null() || array.dtype != E::DATA_TYPE {
        return Err(Error::Failed("the array must be dense, in host memory, and of the descriptor's dtype".into()));
    }
    if usize::try_from(array.ndim) != Ok(axes + 1) {
        return Err(Error::Failed(format!(
            "the array has {} axes, but the descriptor has {axes} after the rows",
            array.ndim
        )));
    }
    // SAFETY: the caller promises `ndim` sizes.
    let shape = unsafe { std::slice::from_raw_parts(array.shape, axes + 1) };
    let elements: usize = shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).product();
    if elements == 0 {
        return Ok((shape, std::ptr::NonNull::dangling().as_ptr(), 0));
    }
    // SAFETY: the caller promises memory for the product of the sizes behind `byte_offset`.
    let first = unsafe { array.data.cast::<u8>().add(array.byte_offset as usize) };
    Ok((shape, first.cast(), elements))
}
