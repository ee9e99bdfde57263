//! Looks at the first cells before the model is loaded.

use std::ops::Range;

use tracing::subscriber::NoSubscriber;

use super::input_cells::{InputCells, InputSource};
use crate::Result;
use crate::events::Events;

/// The number of rows to look at.
pub const FIRST_ROWS: u64 = 16;

/// Notes that none of the first rows can be read, so that a user need not wait for the weights to learn it.
///
/// # Errors
/// Errors of plugins and of the dataset.
pub fn look(source: InputSource<'_>, rows: Range<u64>, events: &Events) -> Result<()> {
    let mut first = None;
    let mut good = 0;
    let mut read = 0;
    // The run reads these cells again, and then logs what codecs say about them.
    tracing::subscriber::with_default(NoSubscriber::default(), || {
        InputCells::open(source)?.read(rows, |batch| {
            read += batch.keys.len();
            good += batch.keys.len() - batch.failures.len();
            if first.is_none() {
                first = batch.failures.values().next().map(|failure| failure.text.clone());
            }
            Ok(())
        })
    })?;
    if let Some(text) = first.filter(|_| good == 0) {
        let rows = if read == 1 { "the first row cannot".into() } else { format!("none of the first {read} rows can") };
        events.note(format!("{rows} be read: {text}; `anyflow data survey` predicts how many rows fail, and why"));
    }
    Ok(())
}
