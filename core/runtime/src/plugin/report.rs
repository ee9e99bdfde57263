//! What a plugin's call reports.

use std::ffi::c_void;

use anyflow_abi::{CellView, StrView, status};
use anyflow_datasets::OwnedCell;

use super::cell;
use super::module::Parameter;
use super::slot::heard;

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
    /// Visited parameters.
    pub parameters: Vec<Parameter>,
    /// What no plugin may report, whatever the call returns.
    pub odd: Option<String>,
}

impl Reported {
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
///
/// # Safety
/// The text is readable, unless it is null.
pub(super) unsafe fn sentence_of(text: StrView) -> String {
    let begin = StrView { ptr: text.ptr, len: text.len.min(LONGEST_TEXT) };
    // SAFETY: as the caller promises; the begin of a text is readable where the whole is.
    match unsafe { begin.bytes() } {
        Ok(shown) if begin.len < text.len => format!("{} ...", String::from_utf8_lossy(shown)),
        Ok(shown) => String::from_utf8_lossy(shown).into_owned(),
        Err(why) => format!("a text that {why}"),
    }
}

pub(super) unsafe extern "C" fn on_error(context: *mut c_void, row: i64, text: StrView) {
    heard(context, |reported| {
        // SAFETY: the text is readable until we return.
        let text = unsafe { sentence_of(text) };
        match usize::try_from(row) {
            Ok(row) => reported.rows.push(RowError { row, text }),
            Err(_) => reported.call = Some(text),
        }
    });
}

pub(super) unsafe extern "C" fn on_cell(context: *mut c_void, row: i64, cell: *const CellView) {
    heard(context, |reported| {
        let Ok(row) = usize::try_from(row) else { return };
        // SAFETY: the cell is readable until we return.
        match unsafe { cell::owned(cell) } {
            Ok(owned) => reported.cells.push((row, owned)),
            Err(text) => reported.rows.push(RowError { row, text }),
        }
    });
}
