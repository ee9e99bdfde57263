//! Counts the memory of reading before it is allocated.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most bytes of one column in a batch: Arrow's offsets end at 2 GiB.
const MOST_OF_A_COLUMN: u64 = 1 << 30;

/// Counts the bytes of a row group during reading: open pages, and the batch that is decoded from them.
#[derive(Debug)]
pub(super) struct Meter {
    limit: u64,
    /// Bytes of every batch, independent of its content: values of fixed size.
    base: u64,
    columns: Mutex<Vec<Column>>,
    fault: Mutex<Option<Fault>>,
}

/// The reason why a row group could not be read, if Parquet's own error would hide it.
#[derive(Debug)]
pub(super) enum Fault {
    /// The batch would exceed the limit; the text says what it needs.
    TooLarge(String),
    /// The system failed.
    Io(std::io::Error),
}

/// The bytes of one column.
#[derive(Clone, Copy, Debug, Default)]
struct Column {
    dictionary: u64,
    page: u64,
    /// Bytes that the open page may still decode to.
    rest: u64,
    /// Decoded bytes in the current batch.
    batch: u64,
}

impl Meter {
    pub(super) fn new(columns: usize, base: u64, limit: u64) -> Meter {
        Meter { limit, base, columns: Mutex::new(vec![Column::default(); columns]), fault: Mutex::default() }
    }

    /// Begins a batch. The last one belongs to the caller.
    pub(super) fn begin(&self) -> Result<(), String> {
        let mut columns = lock(&self.columns);
        columns.iter_mut().for_each(|column| column.batch = column.rest);
        self.check(&columns)
    }

    /// Counts a page of a column before it is unpacked to `bytes`.
    pub(super) fn open_page(&self, column: usize, bytes: u64, is_dictionary: bool) -> Result<(), String> {
        let mut columns = lock(&self.columns);
        if let Some(column) = columns.get_mut(column) {
            // A dictionary is in memory twice: as a page and decoded.
            let place = if is_dictionary { &mut column.dictionary } else { &mut column.page };
            *place = if is_dictionary { bytes.saturating_mul(2) } else { bytes };
            column.rest = 0;
        }
        self.check(&columns)
    }

    /// Counts at most `bytes` that the open page of a column adds to the batch.
    pub(super) fn decode(&self, column: usize, bytes: u64) -> Result<(), String> {
        let mut columns = lock(&self.columns);
        if let Some(column) = columns.get_mut(column) {
            column.rest = bytes;
            column.batch = column.batch.saturating_add(bytes);
        }
        self.check(&columns)
    }

    /// Records a failure of the system, which is not a fault of the file.
    pub(super) fn note(&self, error: &std::io::Error) {
        let copied = || std::io::Error::new(error.kind(), error.to_string());
        let copy = error.raw_os_error().map_or_else(copied, std::io::Error::from_raw_os_error);
        *lock(&self.fault) = Some(Fault::Io(copy));
    }

    /// The fault that was recorded since the last call.
    pub(super) fn fault(&self) -> Option<Fault> {
        lock(&self.fault).take()
    }

    fn check(&self, columns: &[Column]) -> Result<(), String> {
        let held =
            |column: &Column| [column.dictionary, column.page, column.batch].into_iter().fold(0, u64::saturating_add);
        let total = columns.iter().map(held).fold(self.base, u64::saturating_add);
        let largest = columns.iter().map(|column| column.batch).max().unwrap_or(0);
        if total <= self.limit && largest <= MOST_OF_A_COLUMN {
            return Ok(());
        }
        Err(if total > self.limit { self.refuse(total, self.limit) } else { self.refuse(largest, MOST_OF_A_COLUMN) })
    }

    fn refuse(&self, needed: u64, limit: u64) -> String {
        let reason = format!("it needs {needed} bytes at one time, more than the {limit} that reading may hold");
        *lock(&self.fault) = Some(Fault::TooLarge(reason.clone()));
        reason
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_counts_its_pages_and_the_rest_of_the_last_one() {
        let meter = Meter::new(2, 0, 100);
        meter.open_page(0, 20, false).unwrap();
        meter.decode(0, 20).unwrap();
        meter.open_page(1, 10, true).unwrap();
        assert!(meter.open_page(1, 41, false).is_err());
        assert!(matches!(meter.fault(), Some(Fault::TooLarge(_))));
        assert!(meter.fault().is_none());
        meter.open_page(1, 10, false).unwrap();
        meter.decode(1, 30).unwrap();
        assert!(meter.decode(0, 1).is_err());
        meter.begin().unwrap();
        assert!(Meter::new(1, 101, 100).begin().is_err());
    }
}
