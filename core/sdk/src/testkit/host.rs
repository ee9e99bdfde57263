//! What a host hears during a call.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fmt;

use crate::abi::{CellView, Report, StrView, status};
use crate::{Cell, OwnedCell};

/// A call that did not succeed.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub code: u32,
    pub text: String,
}

impl Refusal {
    /// A breach of the border by a call that said it succeeded.
    pub fn broken(text: impl Into<String>) -> Self {
        Refusal { code: status::OK, text: text.into() }
    }

    /// A table without one of its functions.
    pub fn absent(function: &str) -> Self {
        Refusal::broken(format!("`{function}` is missing in the table of its interface"))
    }

    /// The plugin went wrong, where an error with a reason would have been right.
    pub fn is_breach(&self) -> bool {
        !matches!(self.code, status::INVALID | status::FAILED | status::UNSUPPORTED) || self.text.is_empty()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.text.as_str()) {
            (status::OK, text) => f.write_str(text),
            (code, "") => write!(f, "status {code} without a text that says why"),
            (_, text) => f.write_str(text),
        }
    }
}

impl From<Refusal> for super::outcome::Unmet {
    fn from(refusal: Refusal) -> Self {
        refusal.to_string().into()
    }
}

/// Everything that one call reports.
#[derive(Default)]
pub(super) struct Heard {
    /// Why the call failed.
    call: Option<String>,
    /// Why rows failed.
    pub rows: BTreeMap<usize, String>,
    /// Cells of rows.
    pub cells: BTreeMap<usize, OwnedCell>,
    /// What no plugin may report.
    odd: Option<String>,
    batch: usize,
}

impl Heard {
    /// For a call with so many rows.
    pub fn of(batch: usize) -> Self {
        Heard { batch, ..Heard::default() }
    }

    /// The table to pass; valid while `self` is borrowed.
    pub fn report(&mut self) -> Report {
        Report {
            struct_size: size_of::<Report>() as u32,
            context: (&raw mut *self).cast(),
            error: Some(on_error),
            cell: Some(on_cell),
        }
    }

    /// What was heard by a call that returned `code`.
    pub fn of_call(self, code: u32) -> Result<Heard, Refusal> {
        match (code, &self.odd) {
            (_, Some(odd)) => Err(Refusal { code: status::OK, text: odd.clone() }),
            (status::OK, None) => Ok(self),
            (code, None) => Err(Refusal { code, text: self.call.unwrap_or_default() }),
        }
    }

    fn row(&mut self, row: i64) -> Option<usize> {
        let number = usize::try_from(row).ok().filter(|row| *row < self.batch);
        if number.is_none() {
            self.odd = Some(format!("it reported row {row} of a batch of {}", self.batch));
        }
        number
    }
}

unsafe extern "C" fn on_error(context: *mut c_void, row: i64, text: StrView) {
    // SAFETY: `context` is the `Heard` of the call under way; the text is readable until we return.
    let (heard, text) = unsafe { (&mut *context.cast::<Heard>(), text.bytes()) };
    let text = match text.map(|text| (text, std::str::from_utf8(text))) {
        Ok((_, Ok(text))) => text,
        Ok((text, Err(_))) => {
            heard.odd = Some(format!("the error `{}` is not UTF-8", String::from_utf8_lossy(text)));
            return;
        }
        Err(why) => {
            heard.odd = Some(format!("the text of an error {why}"));
            return;
        }
    };
    if text.is_empty() {
        heard.odd = Some("it reported an error without a text".into());
    }
    if row < 0 {
        heard.call = Some(text.into());
    } else if let Some(row) = heard.row(row) {
        heard.rows.insert(row, text.into());
    }
}

unsafe extern "C" fn on_cell(context: *mut c_void, row: i64, cell: *const CellView) {
    // SAFETY: `context` is the `Heard` of the call under way; the cell is readable until we return.
    let (heard, cell) = unsafe { (&mut *context.cast::<Heard>(), Cell::from_view(&*cell)) };
    let Some(row) = heard.row(row) else { return };
    match cell {
        Ok(cell) => drop(heard.cells.insert(row, cell.to_owned())),
        Err(error) => heard.odd = Some(format!("the cell of row {row}: {error}")),
    }
}
