//! Codecs: the trait, and its side of `anyflow.codec/1`.

use std::ffi::c_void;

use crate::abi::{ArrayView, CellView, Report, StrView};
use crate::dense::{Element, dense};
use crate::guard::{Poisonable, guarded, report_error};
use crate::{Cell, CodecDescriptor, Error, OwnedCell, Parameters};

/// Raw column value <-> array. Runs on worker threads, several calls at a time.
pub trait Codec: Send + Sync + Sized + 'static {
    /// Element type of the array; its name is the `dtype` of the descriptor's port.
    type Element: Element;
    /// What the codec says of itself.
    const DESCRIPTOR: CodecDescriptor;

    /// Makes an instance.
    ///
    /// # Errors
    /// [`Error::Parameters`] for a value the codec cannot take.
    fn new(parameters: &Parameters) -> Result<Self, Error>;

    /// Encodes one cell into `array`, row-major with the axes of the descriptor, zeroed before.
    ///
    /// # Errors
    /// [`Error::Data`] fails this row and no other.
    fn encode(&self, cell: Cell<'_>, array: &mut [Self::Element]) -> Result<(), Error>;

    /// Makes a cell of one row's `array`.
    ///
    /// # Errors
    /// [`Error::Data`] fails this row and no other.
    fn decode(&self, array: &[Self::Element]) -> Result<OwnedCell, Error>;
}

/// A codec whose type is hidden, at the level of the border's views.
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
                // A row that was refused half-way leaves zeros, as the border says.
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
pub struct CodecEntry {
    /// Name inside the plugin.
    pub id: &'static str,
    /// Makes an instance.
    pub make: fn(&Parameters) -> Result<Box<dyn DynCodec>, Error>,
}

impl CodecEntry {
    /// The entry of a codec type.
    pub const fn of<C: Codec>() -> Self {
        assert!(
            str_eq(C::DESCRIPTOR.array.dtype, C::Element::NAME),
            "the descriptor's dtype is not the codec's Element"
        );
        CodecEntry { id: C::DESCRIPTOR.id, make: |parameters| Ok(Box::new(C::new(parameters)?)) }
    }
}

const fn str_eq(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
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

type Instance = Poisonable<Box<dyn DynCodec>>;

/// # Safety
/// As `CodecInterface::create`.
#[doc(hidden)]
pub unsafe fn create(
    codecs: &[CodecEntry],
    id: StrView,
    parameters: StrView,
    report: *const Report,
    instance: *mut *mut c_void,
) -> u32 {
    // SAFETY: the arguments are as the ABI says; `instance` is writable.
    unsafe {
        guarded(report, || {
            let id = id.bytes()?;
            let entry = codecs
                .iter()
                .find(|e| e.id.as_bytes() == id)
                .ok_or_else(|| Error::Failed(format!("no codec `{}`", String::from_utf8_lossy(id))))?;
            let codec = (entry.make)(&Parameters::parse(parameters.bytes()?)?)?;
            *instance = Box::into_raw(Box::new(Instance::new(codec))).cast();
            Ok(())
        })
    }
}

/// # Safety
/// As `CodecInterface::destroy`.
#[doc(hidden)]
pub unsafe fn destroy(instance: *mut c_void) {
    if !instance.is_null() {
        // SAFETY: `instance` came from `create` and is given up now.
        let instance = unsafe { Box::from_raw(instance.cast::<Instance>()) };
        // SAFETY: there is nobody to report to; a panic in a drop ends here.
        unsafe {
            guarded(std::ptr::null(), move || {
                drop(instance);
                Ok(())
            })
        };
    }
}

/// # Safety
/// As `CodecInterface::encode`.
#[doc(hidden)]
pub unsafe fn encode(
    instance: *const c_void,
    cells: *const CellView,
    rows: usize,
    array: *const ArrayView,
    report: *const Report,
) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe {
        let instance = &*instance.cast::<Instance>();
        let cells = if rows == 0 { &[] } else { std::slice::from_raw_parts(cells, rows) };
        instance.call(report, |codec| codec.encode(cells, &*array, report))
    }
}

/// # Safety
/// As `CodecInterface::decode`.
#[doc(hidden)]
pub unsafe fn decode(instance: *const c_void, array: *const ArrayView, report: *const Report) -> u32 {
    // SAFETY: the arguments are as the ABI says.
    unsafe { (*instance.cast::<Instance>()).call(report, |codec| codec.decode(&*array, report)) }
}
