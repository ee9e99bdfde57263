//! Borrowed views of strings, cells and arrays.

use core::ffi::c_void;

use crate::{ListView, Unreadable, items};

/// UTF-8 text or raw bytes, borrowed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StrView {
    /// First byte; may be null if `len` is 0.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

impl StrView {
    /// A view of `text` that must not outlive it.
    pub const fn new(text: &[u8]) -> Self {
        StrView { ptr: text.as_ptr(), len: text.len() }
    }

    /// The bytes.
    ///
    /// # Errors
    /// [`Unreadable`] if the range cannot be valid memory.
    ///
    /// # Safety
    /// `ptr` points at `len` readable bytes that stay unchanged for `'a`, unless it is null.
    #[allow(unsafe_code)]
    pub unsafe fn bytes<'a>(self) -> Result<&'a [u8], Unreadable> {
        // SAFETY: the caller's promise.
        unsafe { items(self.ptr, self.len) }
    }
}

/// Values of [`CellView::kind`].
pub mod cell_kind {
    /// No value.
    pub const NULL: u32 = 0;
    /// Encoded bytes of a file, in `bytes`.
    pub const BYTES: u32 = 1;
    /// UTF-8 text, in `bytes`.
    pub const UTF8: u32 = 2;
    /// An integer, in `integer`.
    pub const I64: u32 = 3;
    /// A real number, in `real`.
    pub const F64: u32 = 4;
    /// Numbers in nested lists; `bytes` holds one [`ListView`](crate::ListView). Since ABI 1.2.
    pub const LIST: u32 = 5;
    /// Encoded bytes of files, in order; `bytes` holds one [`StrView`](crate::StrView) for each. Since ABI 1.3.
    pub const FILES: u32 = 6;
}

/// One raw value of a column, borrowed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CellView {
    /// One of [`cell_kind`].
    pub kind: u32,
    /// Payload of `BYTES` and `UTF8`; for `LIST` the bytes of a [`ListView`], for `FILES` those of an array of
    /// [`StrView`], aligned as those structs are.
    pub bytes: StrView,
    /// Payload of `I64`.
    pub integer: i64,
    /// Payload of `F64`.
    pub real: f64,
}

impl CellView {
    /// The most bytes of a cell of any kind: no column can hold a longer one.
    pub const MOST_BYTES: usize = i32::MAX as usize;

    /// The number of bytes that its payload claims, including lengths and numbers of lists; `None` if it is
    /// inconsistent.
    ///
    /// # Safety
    /// As [`CellView::list`] and [`CellView::files`].
    #[allow(unsafe_code)]
    pub unsafe fn claimed_bytes(&self) -> Option<usize> {
        match self.kind {
            cell_kind::BYTES | cell_kind::UTF8 => Some(self.bytes.len),
            cell_kind::LIST => {
                // SAFETY: the caller's promise.
                let list = unsafe { self.list()? };
                list.values_len.checked_add(list.lengths_len)?.checked_mul(size_of::<f64>())
            }
            cell_kind::FILES if self.bytes.len > CellView::MOST_BYTES => Some(self.bytes.len),
            // SAFETY: the caller's promise.
            cell_kind::FILES => unsafe { self.files()? }.iter().try_fold(0usize, |sum, file| sum.checked_add(file.len)),
            _ => Some(0),
        }
    }

    /// The list of a `LIST` cell; `None` if `bytes` cannot be a [`ListView`].
    ///
    /// # Safety
    /// `bytes` is readable and unchanged for `'a`, unless it is null.
    #[allow(unsafe_code)]
    pub unsafe fn list<'a>(&self) -> Option<&'a ListView> {
        if self.bytes.len < size_of::<ListView>() {
            return None;
        }
        // SAFETY: the caller promises so many readable bytes.
        let list = unsafe { items(self.bytes.ptr.cast::<ListView>(), 1) }.ok()?.first()?;
        (list.struct_size as usize >= size_of::<ListView>()).then_some(list)
    }

    /// The files of a `FILES` cell; `None` if `bytes` cannot be an array of [`StrView`].
    ///
    /// # Safety
    /// `bytes` is readable and unchanged for `'a`, unless it is null.
    #[allow(unsafe_code)]
    pub unsafe fn files<'a>(&self) -> Option<&'a [StrView]> {
        let bytes = self.bytes;
        let size = size_of::<StrView>();
        // SAFETY: the caller promises so many readable bytes.
        bytes.len.is_multiple_of(size).then(|| unsafe { items(bytes.ptr.cast(), bytes.len / size) }.ok()).flatten()
    }
}

/// The device of an array, as in DLPack.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// 1 for host memory, 2 for CUDA.
    pub kind: i32,
    /// The device's index.
    pub id: i32,
}

/// Element type, as in DLPack.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataType {
    /// 0 signed integer, 1 unsigned integer, 2 IEEE float, 4 bfloat.
    pub code: u8,
    /// Bits of an element.
    pub bits: u8,
    /// Always 1.
    pub lanes: u16,
}

/// The element types of arrays.
pub mod dtype {
    use super::DataType;
    /// 32-bit float.
    pub const F32: DataType = DataType { code: 2, bits: 32, lanes: 1 };
    /// 64-bit integer.
    pub const I64: DataType = DataType { code: 0, bits: 64, lanes: 1 };
    /// Byte.
    pub const U8: DataType = DataType { code: 1, bits: 8, lanes: 1 };
}

/// A dense array in the layout of DLPack's `DLTensor`. Row-major if `strides` is null; the host always
/// passes null.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ArrayView {
    /// Base address; the first element is `byte_offset` bytes behind it.
    pub data: *mut c_void,
    /// The device of `data`.
    pub device: Device,
    /// Number of axes.
    pub ndim: i32,
    /// Element type.
    pub dtype: DataType,
    /// `ndim` sizes.
    pub shape: *const i64,
    /// Null, or `ndim` strides in elements.
    pub strides: *const i64,
    /// Offset of the first element from `data`.
    pub byte_offset: u64,
}
