//! Codecs: the trait, and its side of `anyflow.codec/1`.

use std::ffi::c_void;

use crate::abi::{ArrayView, CellView, Report, StrView};
use crate::dense::{Element, dense};
use crate::guard::{Poisonable, report_error};
use crate::instance::{self, ComponentEntry, Components};
use crate::{Cell, CodecDescriptor, Error, OwnedCell, Parameters};

/// Raw column value <-> array. Runs on worker threads, several calls at a time.
pub trait Codec: Send + Sync + Sized + 'static {
    /// Element type of the array; it must match the `dtype` of the descriptor's port.
    type Element: Element;
    /// The codec's descriptor.
    const DESCRIPTOR: CodecDescriptor;

    /// Makes an instance.
    ///
    /// # Errors
    /// [`Error::Parameters`] for a value that the codec does not accept.
    fn new(parameters: &Parameters) -> Result<Self, Error>;

    /// Encodes one cell into `array`: row-major, with the axes of the descriptor, zeroed by the host.
    ///
    /// # Errors
    /// [`Error::Data`] fails this row only.
    fn encode(&self, cell: Cell<'_>, array: &mut [Self::Element]) -> Result<(), Error>;

    /// Decodes one row's `array` into a cell.
    ///
    /// # Errors
    /// [`Error::Data`] fails this row only.
    fn decode(&self, array: &[Self::Element]) -> Result<OwnedCell, Error>;
}

/// A codec behind a trait object, over the ABI's views.
#[doc(hidden)]
pub trait DynCodec: Send + Sync {
    /// # Safety
    /// `cells` are valid views and `array` is as the ABI says.
    unsafe fn encode(&self, cells: &[CellView], array: &ArrayView, report: *const Report) -> Result<(), Error>;
    /// # Safety
    /// As `encode`.
    unsafe fn decode(&self, array: &ArrayView, report: *const Report) -> Result<(), Error>;
}

impl<C: Codec> DynCodec for C {
    unsafe fn encode(&self, cells: &[CellView], array: &ArrayView, report: *const Report) -> Result<(), Error> {
        // SAFETY: the host allocated the array for this call and reads it only afterwards.
        let (rows, elements, size) = unsafe { elements::<C>(array)? };
        if rows != cells.len() {
            return Err(Error::Failed(format!("{} cells for an array of {rows} rows", cells.len())));
        }
        // SAFETY: `elements` checked dtype, layout and size of the array.
        let all = unsafe { std::slice::from_raw_parts_mut(elements, rows * size) };
        for (row, cell) in cells.iter().enumerate() {
            let out = &mut all[row * size..(row + 1) * size];
            // SAFETY: the host keeps cells readable until the call returns.
            let done = unsafe { Cell::from_view(cell) }.and_then(|cell| Codec::encode(self, cell, out));
            if let Err(error) = done {
                // The ABI requires zeros in a refused row, even if the codec wrote part of it.
                out.fill(C::Element::ZERO);
                // SAFETY: `report` is valid during this call.
                unsafe { report_error(report, row as i64, &error.to_string()) };
            }
        }
        Ok(())
    }

    unsafe fn decode(&self, array: &ArrayView, report: *const Report) -> Result<(), Error> {
        // SAFETY: the host keeps the array readable until the call returns.
        let (rows, elements, size) = unsafe { elements::<C>(array)? };
        // SAFETY: `elements` checked dtype, layout and size of the array.
        let all = unsafe { std::slice::from_raw_parts(elements.cast_const(), rows * size) };
        for row in 0..rows {
            match Codec::decode(self, &all[row * size..(row + 1) * size]) {
                // SAFETY: `report` is valid during this call; the host copies the cell before the callback returns.
                Ok(cell) => unsafe {
                    if let Some(emit) = (*report).cell {
                        let payload = cell.payload();
                        emit((*report).context, row as i64, &cell.view(&payload));
                    }
                },
                // SAFETY: `report` is valid during this call.
                Err(error) => unsafe { report_error(report, row as i64, &error.to_string()) },
            }
        }
        Ok(())
    }
}

/// Rows, first element and elements per row of a dense host array of the codec's element type.
///
/// # Safety
/// As [`dense`].
unsafe fn elements<C: Codec>(array: &ArrayView) -> Result<(usize, *mut C::Element, usize), Error> {
    // SAFETY: the caller promises what `dense` wants.
    let (shape, first, elements) = unsafe { dense::<C::Element>(array, C::DESCRIPTOR.array.axes.len())? };
    let rows = shape.first().and_then(|&rows| usize::try_from(rows).ok()).unwrap_or(0);
    Ok((rows, first, elements.checked_div(rows).unwrap_or(0)))
}

/// One codec of a plugin, for the export macro.
#[doc(hidden)]
pub type CodecEntry = ComponentEntry<fn(&Parameters) -> Result<Box<dyn DynCodec>, Error>>;

impl CodecEntry {
    /// The entry of a codec type.
    pub const fn of<C: Codec>() -> Self {
        assert!(
            str_eq(C::DESCRIPTOR.array.dtype, C::Element::NAME),
            "the dtype in the descriptor must match the codec's Element"
        );
        CodecEntry { id: C::DESCRIPTOR.id, make: |parameters| Ok(Box::new(C::new(parameters)?)) }
    }
}

const fn str_eq(a: &str, b: &str) -> bool {
    let a = a.as_bytes();
    let b = b.as_bytes();
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// What an instance holds.
#[doc(hidden)]
pub type CodecInstance = Box<dyn DynCodec>;

/// # Safety
/// As `CodecInterface::create`.
#[doc(hidden)]
pub unsafe extern "C" fn create<P: Components<CodecEntry>>(
    id: StrView,
    parameters: StrView,
    report: *const Report,
    instance: *mut *mut c_void,
) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe { instance::create(P::ALL, id, parameters, report, instance, |make, parameters| make(parameters)) }
}

/// # Safety
/// As `CodecInterface::encode`.
#[doc(hidden)]
pub unsafe extern "C" fn encode(
    instance: *const c_void,
    cells: *const CellView,
    rows: usize,
    array: *const ArrayView,
    report: *const Report,
) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe {
        let instance = &*instance.cast::<Poisonable<CodecInstance>>();
        let cells = if rows == 0 { &[] } else { std::slice::from_raw_parts(cells, rows) };
        instance.call(report, |codec| codec.encode(cells, &*array, report))
    }
}

/// # Safety
/// As `CodecInterface::decode`.
#[doc(hidden)]
pub unsafe extern "C" fn decode(instance: *const c_void, array: *const ArrayView, report: *const Report) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe {
        let instance = &*instance.cast::<Poisonable<CodecInstance>>();
        instance.call(report, |codec| codec.decode(&*array, report))
    }
}
