//! Where a plugin's call reports to.

use std::ffi::c_void;

use anyflow_abi::{CellView, ListView, Report, StrView, cell_kind, status};
use anyflow_datasets::{OwnedCell, OwnedList};

/// What is kept of a plugin's sentence, bytes.
const LONGEST_TEXT: usize = 1024;

/// Bytes of a cell at most: no column can hold a longer one.
const MOST_CELL_BYTES: usize = i32::MAX as usize;

/// A row that a codec could not take.
#[derive(Clone, Debug, PartialEq)]
pub struct RowError {
    /// Row of the batch.
    pub row: usize,
    /// What the plugin said.
    pub text: String,
}

/// Collects what one call reports.
#[derive(Default)]
pub(super) struct Reported {
    /// Why the call failed.
    pub call: Option<String>,
    /// Which rows failed.
    pub rows: Vec<RowError>,
    /// Decoded cells.
    pub cells: Vec<(usize, OwnedCell)>,
}

impl Reported {
    /// The table to pass; valid while `self` is borrowed.
    pub fn table(&mut self) -> Report {
        Report {
            struct_size: size_of::<Report>() as u32,
            context: (&raw mut *self).cast(),
            error: Some(on_error),
            cell: Some(on_cell),
        }
    }

    /// The sentence for a call that returned `code`.
    pub fn sentence(self, code: u32) -> String {
        let said = self.call.unwrap_or_else(|| "without a word".into());
        match code {
            status::INVALID => format!("refused: {said}"),
            status::PANICKED => format!("{said}; the plugin's author must mend it"),
            status::POISONED => format!("refused: {said}"),
            status::UNSUPPORTED => "is not supported by the plugin".into(),
            _ => format!("failed: {said}"),
        }
    }
}

/// What a plugin says, whatever its bytes: a codec may quote a cell of any length.
fn sentence_of(text: &[u8]) -> String {
    let (shown, more) = text.split_at_checked(LONGEST_TEXT).map_or((text, false), |(shown, _)| (shown, true));
    let mut text = String::from_utf8_lossy(shown).into_owned();
    if more {
        text.push_str(" ...");
    }
    text
}

unsafe extern "C" fn on_error(context: *mut c_void, row: i64, text: StrView) {
    // SAFETY: `context` is the `Reported` of the call under way; the text is readable until we return.
    let (reported, text) = unsafe { (&mut *context.cast::<Reported>(), readable(text, LONGEST_TEXT + 1)) };
    let text = match text {
        Ok(text) => sentence_of(text),
        Err(_) => "a text that cannot be read".into(),
    };
    match usize::try_from(row) {
        Ok(row) => reported.rows.push(RowError { row, text }),
        Err(_) => reported.call = Some(text),
    }
}

unsafe extern "C" fn on_cell(context: *mut c_void, row: i64, cell: *const CellView) {
    // SAFETY: `context` is the `Reported` of the call under way; the cell is readable until we return.
    let (reported, cell) = unsafe { (&mut *context.cast::<Reported>(), cell.as_ref()) };
    let Ok(row) = usize::try_from(row) else { return };
    // SAFETY: as above.
    match cell.ok_or_else(|| "it reported no cell".to_string()).and_then(|cell| unsafe { owned(cell) }) {
        Ok(owned) => reported.cells.push((row, owned)),
        Err(text) => reported.rows.push(RowError { row, text }),
    }
}

/// A copy of a cell, or why it is none.
///
/// # Safety
/// The cell's bytes are readable, if it has any, and so are its lists.
unsafe fn owned(cell: &CellView) -> Result<OwnedCell, String> {
    // SAFETY: as promised by the caller.
    let bytes = || match unsafe { readable(cell.bytes, MOST_CELL_BYTES) } {
        Ok(bytes) if bytes.len() == cell.bytes.len => Ok(bytes.to_vec()),
        Ok(_) => Err(format!("its cell has {} bytes, more than the {MOST_CELL_BYTES} that fit", cell.bytes.len)),
        Err(text) => Err(text.to_string()),
    };
    match cell.kind {
        cell_kind::BYTES => bytes().map(OwnedCell::Bytes),
        cell_kind::UTF8 => bytes()
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| "its text is not UTF-8".into()))
            .map(OwnedCell::Utf8),
        cell_kind::I64 => Ok(OwnedCell::I64(cell.integer)),
        cell_kind::F64 => Ok(OwnedCell::F64(cell.real)),
        cell_kind::LIST => {
            // SAFETY: as promised by the caller, for what the list's views point at too.
            unsafe { cell.list().and_then(|list| owned_list(list)) }.ok_or("its list does not add up".into())
        }
        cell_kind::FILES => {
            // SAFETY: as promised by the caller, for the bytes of each file too.
            let files = unsafe { cell.files().map(|files| owned_files(files)) };
            files.unwrap_or(Err("its files do not add up".into()))
        }
        kind => Err(format!("its cell is of kind {kind}, which is not known")),
    }
}

/// # Safety
/// The bytes of `files` are readable, but that a pointer may be null.
unsafe fn owned_files(files: &[StrView]) -> Result<OwnedCell, String> {
    let mut room = MOST_CELL_BYTES;
    let mut owned = Vec::new();
    for file in files {
        // SAFETY: as the caller promises.
        let bytes = unsafe { readable(*file, room)? };
        if bytes.len() < file.len {
            return Err(format!("the files of its cell have more than the {MOST_CELL_BYTES} bytes that fit"));
        }
        room -= bytes.len();
        owned.push(bytes.into());
    }
    Ok(OwnedCell::Files(owned))
}

/// # Safety
/// The numbers and lengths of `list` are readable.
unsafe fn owned_list(list: &ListView) -> Option<OwnedCell> {
    // SAFETY: as the caller promises.
    let (values, lengths) = unsafe { list.parts()? };
    OwnedList::new(list.depth, values.to_vec(), lengths.to_vec()).map(OwnedCell::List)
}

/// The first `most` bytes of a text.
///
/// # Safety
/// As [`StrView::bytes`], but that the pointer may be null.
unsafe fn readable<'a>(text: StrView, most: usize) -> Result<&'a [u8], &'static str> {
    if text.ptr.is_null() && text.len > 0 {
        return Err("its bytes lie at the address null");
    }
    // SAFETY: as promised by the caller; the part that is read lies in the whole.
    Ok(unsafe { StrView { ptr: text.ptr, len: text.len.min(most) }.bytes() })
}
