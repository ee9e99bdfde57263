//! Where a plugin's call reports to.

use std::ffi::c_void;

use anyflow_abi::{CellView, ListView, Report, StrView, cell_kind, status};
use anyflow_datasets::{OwnedCell, OwnedList};

/// What is kept of a plugin's sentence, bytes.
const LONGEST_TEXT: usize = 1024;

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
    let (reported, text) = unsafe { (&mut *context.cast::<Reported>(), text.bytes()) };
    let text = sentence_of(text);
    match usize::try_from(row) {
        Ok(row) => reported.rows.push(RowError { row, text }),
        Err(_) => reported.call = Some(text),
    }
}

unsafe extern "C" fn on_cell(context: *mut c_void, row: i64, cell: *const CellView) {
    // SAFETY: `context` is the `Reported` of the call under way; the cell is readable until we return.
    let (reported, cell) = unsafe { (&mut *context.cast::<Reported>(), &*cell) };
    let Ok(row) = usize::try_from(row) else { return };
    // SAFETY: as above.
    let bytes = || unsafe { cell.bytes.bytes() }.to_vec();
    let owned = match cell.kind {
        cell_kind::BYTES => Ok(OwnedCell::Bytes(bytes())),
        cell_kind::UTF8 => String::from_utf8(bytes()).map(OwnedCell::Utf8).map_err(|_| "its text is not UTF-8"),
        cell_kind::I64 => Ok(OwnedCell::I64(cell.integer)),
        cell_kind::F64 => Ok(OwnedCell::F64(cell.real)),
        // SAFETY: the cell and what its views point at are readable until we return.
        cell_kind::LIST => unsafe { cell.list().and_then(|list| owned_list(list)) }.ok_or("its list does not add up"),
        _ => Err("its cell is of a kind we do not know"),
    };
    match owned {
        Ok(owned) => reported.cells.push((row, owned)),
        Err(text) => reported.rows.push(RowError { row, text: text.into() }),
    }
}

/// # Safety
/// The numbers and lengths of `list` are readable.
unsafe fn owned_list(list: &ListView) -> Option<OwnedCell> {
    // SAFETY: as the caller promises.
    let (values, lengths) = unsafe { list.parts()? };
    OwnedList::new(list.depth, values.to_vec(), lengths.to_vec()).map(OwnedCell::List)
}
