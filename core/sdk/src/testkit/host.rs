//! The host's side of a call: it collects the plugin's reports.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::abi::{CellView, Report, StrView, items, status};
use crate::{Cell, OwnedCell};

/// A call that did not succeed.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub code: u32,
    pub text: String,
}

impl Refusal {
    /// A breach of the ABI by a call that reported success.
    pub fn broken(text: impl Into<String>) -> Self {
        Refusal { code: status::OK, text: text.into() }
    }

    /// A function that is missing in its table.
    pub fn absent(function: &str) -> Self {
        Refusal::broken(format!("`{function}` is missing in the table of its interface"))
    }

    /// True if the plugin broke the ABI instead of returning an error with a reason.
    pub fn is_breach(&self) -> bool {
        !matches!(self.code, status::INVALID | status::FAILED | status::UNSUPPORTED) || self.text.is_empty()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.text.as_str()) {
            (status::OK, text) => f.write_str(text),
            (code, "") => write!(f, "status {code} without an error text"),
            (_, text) => f.write_str(text),
        }
    }
}

impl From<Refusal> for super::outcome::Unmet {
    fn from(refusal: Refusal) -> Self {
        refusal.to_string().into()
    }
}

/// All reports of one call.
#[derive(Default)]
pub(super) struct Heard {
    /// The reason why the call failed.
    call: Option<String>,
    /// The reasons why rows failed.
    pub rows: BTreeMap<usize, String>,
    /// Cells of rows.
    pub cells: BTreeMap<usize, OwnedCell>,
    /// Visited parameters.
    #[cfg(feature = "torch")]
    pub variables: Vec<super::variable::Variable>,
    /// A report that the ABI does not allow.
    pub odd: Option<String>,
    batch: usize,
}

impl Heard {
    fn row(&mut self, row: i64) -> Option<usize> {
        let number = usize::try_from(row).ok().filter(|row| *row < self.batch);
        if number.is_none() {
            self.odd = Some(format!("it reported row {row} of a batch of {}", self.batch));
        }
        number
    }
}

/// The tables of all threads, by number less one. They are never freed, so that a late report only sets a mark.
static TABLES: Mutex<Vec<Table>> = Mutex::new(Vec::new());

/// A table of a thread.
struct Table {
    report: Box<Report>,
    /// True after a report from another thread or after the call.
    wronged: bool,
}

// SAFETY: the report holds a number and two functions, and nobody writes to it.
unsafe impl Send for Table {}

thread_local! {
    /// The reports so far of the call under way on this thread.
    static HERE: RefCell<Option<Heard>> = const { RefCell::new(None) };
    /// The number of this thread's table.
    static NUMBER: usize = tables_with(|tables| {
        let number = tables.len() + 1;
        let report = Report {
            struct_size: size_of::<Report>() as u32,
            context: std::ptr::without_provenance_mut(number),
            error: Some(on_error),
            cell: Some(on_cell),
        };
        tables.push(Table { report: Box::new(report), wronged: false });
        number
    });
}

fn tables_with<T>(work: impl FnOnce(&mut Vec<Table>) -> T) -> T {
    work(&mut TABLES.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A call under way on this thread.
pub(super) struct Listening(usize);

impl Listening {
    /// Starts to listen to a call with `batch` rows.
    pub fn begin(batch: usize) -> Self {
        HERE.set(Some(Heard { batch, ..Heard::default() }));
        Listening(NUMBER.with(|number| *number))
    }

    /// The table to pass to the call.
    pub fn report(&self) -> *const Report {
        tables_with(|tables| tables.get(self.0 - 1).map_or(std::ptr::null(), |table| &raw const *table.report))
    }

    /// The context that callbacks receive.
    #[cfg(feature = "torch")]
    pub fn context(&self) -> *mut c_void {
        std::ptr::without_provenance_mut(self.0)
    }

    /// The reports of the call, which returned `code`.
    pub fn end(self, code: u32) -> Result<Heard, Refusal> {
        let heard = HERE.take().unwrap_or_default();
        let wronged = tables_with(|tables| tables.get_mut(self.0 - 1).is_some_and(|t| std::mem::take(&mut t.wronged)));
        match (code, &heard.odd) {
            _ if wronged => {
                Err(Refusal::broken("it reported from another thread than the caller's, or after a call returned"))
            }
            (_, Some(odd)) => Err(Refusal { code: status::OK, text: odd.clone() }),
            (status::OK, None) => Ok(heard),
            (code, None) => Err(Refusal { code, text: heard.call.unwrap_or_default() }),
        }
    }
}

/// Passes the reports so far of the call of `context` to `hear`, if that call is under way on this thread.
pub(super) fn heard(context: *mut c_void, hear: impl FnOnce(&mut Heard)) {
    let number = context.addr();
    let here = NUMBER.try_with(|own| *own == number) == Ok(true);
    let taken = here && HERE.with_borrow_mut(|heard| heard.as_mut().map(hear)).is_some();
    if !taken {
        tables_with(|tables| {
            tables.get_mut(number.wrapping_sub(1)).into_iter().for_each(|table| table.wronged = true);
        });
    }
}

unsafe extern "C" fn on_error(context: *mut c_void, row: i64, text: StrView) {
    heard(context, |heard| {
        // SAFETY: the text is readable until we return.
        let text = match unsafe { text.bytes() }.map(|text| (text, std::str::from_utf8(text))) {
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
    });
}

unsafe extern "C" fn on_cell(context: *mut c_void, row: i64, cell: *const CellView) {
    heard(context, |heard| {
        // SAFETY: the cell is readable until we return.
        let cell = match unsafe { items(cell, 1) } {
            // SAFETY: as above.
            Ok([cell]) => match unsafe { cell.claimed_bytes() } {
                // SAFETY: as above.
                Some(..=CellView::MOST_BYTES) => unsafe { Cell::from_view(cell) },
                _ => {
                    heard.odd = Some(format!("the cell of row {row} claims more bytes than any column can hold"));
                    return;
                }
            },
            Ok(_) => return,
            Err(why) => {
                heard.odd = Some(format!("the cell of row {row} {why}"));
                return;
            }
        };
        let Some(row) = heard.row(row) else { return };
        match cell {
            Ok(cell) => {
                heard.cells.insert(row, cell.to_owned());
            }
            Err(error) => heard.odd = Some(format!("the cell of row {row}: {error}")),
        }
    });
}
