//! The reports of a plugin's call.

use anyflow_abi::{StrView, status};
use anyflow_datasets::OwnedCell;

use super::parameter::Parameter;

/// Maximum bytes of a plugin's message.
const LONGEST_TEXT: usize = 1024;

/// A row that a codec refused.
#[derive(Clone, Debug, PartialEq)]
pub struct RowError {
    /// Row of the batch.
    pub row: usize,
    /// The plugin's message.
    pub text: String,
}

/// The reports of one call.
#[derive(Default)]
pub(super) struct Reported {
    /// The reason why the call failed.
    pub call: Option<String>,
    /// Failed rows.
    pub rows: Vec<RowError>,
    /// Decoded cells, by row.
    pub cells: Vec<(usize, OwnedCell)>,
    /// Visited parameters.
    pub parameters: Vec<Parameter>,
    /// An invalid report. It is an error even if the call succeeds.
    pub invalid: Option<String>,
}

impl Reported {
    /// The error text of a call that returned `code`.
    pub fn sentence(self, code: u32) -> String {
        let reason = self.call.unwrap_or_else(|| "no reason given".into());
        match code {
            status::INVALID => format!("refused: {reason}"),
            status::PANICKED => format!("{reason}; the plugin's author must fix it"),
            status::POISONED => format!("refused: {reason}"),
            status::UNSUPPORTED => "is not supported by the plugin".into(),
            _ => format!("failed: {reason}"),
        }
    }
}

/// Reads a plugin's message. Its bytes and its length are arbitrary, because a codec may quote a cell.
///
/// # Safety
/// The text is readable, unless it is null.
pub(super) unsafe fn sentence_of(text: StrView) -> String {
    let begin = StrView { ptr: text.ptr, len: text.len.min(LONGEST_TEXT) };
    // SAFETY: as the caller promises; a prefix of a readable text is readable.
    match unsafe { begin.bytes() } {
        Ok(shown) if begin.len < text.len => format!("{} ...", String::from_utf8_lossy(shown)),
        Ok(shown) => String::from_utf8_lossy(shown).into_owned(),
        Err(why) => format!("a text that {why}"),
    }
}
