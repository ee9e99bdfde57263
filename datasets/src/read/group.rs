//! Reads one row group as a stream of batches, and reports rows that cannot be decoded.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection, RowSelector};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_field_levels};

use super::guard::guarded;
use super::meter::{Fault, Meter};
use super::pages::Group;
use super::part::Part;
use super::projection::Projection;
use super::row_batch::Bound;
use super::size::fixed_bytes;
use crate::error::{DatasetError, Result, io_error};

/// The most rows of a row group that may be too large to read. With more, the rest of the group counts as lost.
const MOST_TOO_LARGE: u32 = 16;

/// Bytes that are read ahead of an object may take one in this many parts of the memory for reading.
const AHEAD_SHARE: u64 = 4;

/// The requested part of one row group.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) part: Part,
    pub(super) group: usize,
    pub(super) projection: Arc<Projection>,
    /// Ranges of rows, counted within the group, ascending.
    pub(super) rows: VecDeque<Range<u64>>,
    /// Each range is read as if it were asked for alone: what is lost in one changes nothing in the next.
    pub(super) apart: bool,
}

/// Rows, or the reason why they are lost.
pub(super) enum Piece {
    /// Decoded rows in the types of the dataset.
    Rows(RecordBatch),
    /// Rows that cannot be read.
    Lost { rows: u64, error: DatasetError },
}

/// A row group being read.
pub(super) struct GroupReader {
    wanted: Wanted,
    limit: u64,
    /// Rows decoded at once where nothing is too large.
    most_rows: usize,
    batch_rows: usize,
    open: Option<Open>,
    too_large: u32,
}

struct Open {
    reader: ParquetRecordBatchReader,
    meter: Arc<Meter>,
}

/// The reason why a batch is missing.
enum Broken {
    /// The fault is in the rows.
    Rows { reason: String, too_large: bool },
    /// The fault is not in the rows.
    Job(DatasetError),
}

impl GroupReader {
    /// A reader in batches of about `bound`. It never holds more than `limit` bytes.
    pub(super) fn new(wanted: Wanted, bound: Bound, limit: u64) -> GroupReader {
        let most_rows = batch_rows(&wanted, bound);
        GroupReader { wanted, limit, most_rows, batch_rows: most_rows, open: None, too_large: 0 }
    }

    /// The next rows; `None` behind the last.
    ///
    /// # Errors
    /// Faults that are not in the rows: the file changed, or the system fails.
    pub(super) fn next(&mut self) -> Result<Option<Piece>> {
        while self.remaining() > 0 {
            let (reason, too_large) = match self.step() {
                Ok(Some(rows)) => return Ok(Some(self.converted(&rows))),
                Ok(None) => ("its pages end before its rows do".to_string(), false),
                Err(Broken::Rows { reason, too_large }) => (reason, too_large),
                Err(Broken::Job(error)) => return Err(error),
            };
            self.open = None;
            let lost = match too_large {
                // A smaller batch may fit.
                true if self.batch_rows > 1 => {
                    self.batch_rows = self.batch_rows.div_ceil(4);
                    continue;
                }
                true if self.too_large < MOST_TOO_LARGE => {
                    self.too_large += 1;
                    1
                }
                _ if self.wanted.apart => self.wanted.rows.front().map_or(0, |rows| rows.end - rows.start),
                _ => self.remaining(),
            };
            let path = self.wanted.part.source.path.clone();
            let row = self.row();
            let error = if too_large {
                DatasetError::TooLarge { path, row, reason }
            } else {
                DatasetError::Corrupt { path, row, reason }
            };
            self.pass(lost);
            return Ok(Some(Piece::Lost { rows: lost, error }));
        }
        Ok(None)
    }

    /// The decoded rows, in the types of the dataset.
    fn converted(&mut self, decoded: &RecordBatch) -> Piece {
        let rows = decoded.num_rows() as u64;
        let piece = match guarded(|| self.wanted.projection.convert(decoded)) {
            Ok(rows) => Piece::Rows(rows),
            Err(reason) => {
                let path = self.wanted.part.source.path.clone();
                Piece::Lost { rows, error: DatasetError::Corrupt { path, row: self.row(), reason } }
            }
        };
        self.pass(rows);
        piece
    }

    /// First row that is still wanted, counted in the file.
    fn row(&self) -> u64 {
        let start = self.wanted.part.row_groups().nth(self.wanted.group).map_or(0, |group| group.start);
        start + self.wanted.rows.front().map_or(0, |rows| rows.start)
    }

    fn remaining(&self) -> u64 {
        self.wanted.rows.iter().map(|rows| rows.end - rows.start).sum()
    }

    fn pass(&mut self, mut count: u64) {
        while let Some(rows) = self.wanted.rows.front_mut().filter(|_| count > 0) {
            let step = count.min(rows.end - rows.start);
            rows.start += step;
            count -= step;
            if rows.is_empty() {
                self.wanted.rows.pop_front();
                self.forget();
            }
        }
    }

    /// A range that is read apart knows nothing of what was too large before it.
    fn forget(&mut self) {
        if self.wanted.apart && (self.batch_rows < self.most_rows || self.too_large > 0) {
            self.batch_rows = self.most_rows;
            self.too_large = 0;
            self.open = None;
        }
    }

    /// The ranges that one decoder reads: batches of fewer rows than usual may not end where a range does.
    fn selection(&self) -> RowSelection {
        let rows = &self.wanted.rows;
        let count = if self.wanted.apart && self.batch_rows < self.most_rows { 1 } else { rows.len() };
        selection(rows.iter().take(count))
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, Broken> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.build()?,
        };
        let meter = open.meter.clone();
        let next = meter.begin().and_then(|()| guarded(|| open.reader.next().transpose()));
        self.open = Some(open);
        next.map_err(|reason| self.broken(&meter, reason))
    }

    fn build(&self) -> Result<Open, Broken> {
        let part = &self.wanted.part;
        let metadata = part.metadata.metadata().clone();
        let schema = part.metadata.schema();
        let descriptor = metadata.file_metadata().schema_descr();
        let row_bytes =
            self.wanted.projection.decoded.iter().map(|column| fixed_bytes(schema.field(*column).data_type()));
        let base = row_bytes.fold(0, u64::saturating_add).saturating_mul(self.batch_rows as u64);
        let meter = Arc::new(Meter::new(descriptor.num_columns(), base, self.limit));
        let mask = ProjectionMask::roots(descriptor, self.wanted.projection.decoded.iter().copied());
        let selection = Some(self.selection());
        let group = metadata.row_group(self.wanted.group);
        let chunks = (0..descriptor.num_columns()).filter(|leaf| mask.leaf_included(*leaf)).map(|leaf| {
            let (start, length) = group.column(leaf).byte_range();
            start..start.saturating_add(length)
        });
        let file = part.source.open_ranges(chunks.collect(), self.limit / AHEAD_SHARE).map_err(Broken::Job)?;
        let pages = Group {
            file,
            metadata: metadata.clone(),
            index: self.wanted.group,
            meter: meter.clone(),
            batch_rows: self.batch_rows,
        };
        let reader = guarded(|| {
            let levels = parquet_to_arrow_field_levels(descriptor, mask, Some(schema.fields()))?;
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, self.batch_rows, selection)
        });
        match reader {
            Ok(reader) => Ok(Open { reader, meter }),
            Err(reason) => Err(self.broken(&meter, reason)),
        }
    }

    fn broken(&self, meter: &Meter, reason: String) -> Broken {
        let source = &self.wanted.part.source;
        // A file that changes while it is read looks damaged.
        if let Err(error @ DatasetError::Changed { .. }) = source.check() {
            return Broken::Job(error);
        }
        match meter.fault() {
            Some(Fault::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Broken::Job(source.changed(source.size_now()))
            }
            Some(Fault::Io(error)) => Broken::Job(io_error(&source.path, "read")(error)),
            // The Parquet reader adds its own words around the error.
            Some(Fault::TooLarge(reason)) => Broken::Rows { reason, too_large: true },
            None => Broken::Rows { reason, too_large: false },
        }
    }
}

/// The number of rows per batch, from the sizes in the footer.
pub(super) fn batch_rows(wanted: &Wanted, bound: Bound) -> usize {
    let columns = &wanted.projection.decoded;
    let metadata = wanted.part.metadata.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let group = metadata.row_group(wanted.group);
    let leaves = (0..schema.num_columns()).filter(|leaf| columns.contains(&schema.get_column_root_idx(*leaf)));
    let bytes = leaves.map(|leaf| u64::try_from(group.column(leaf).uncompressed_size()).unwrap_or(0));
    let rows = u64::try_from(group.num_rows()).unwrap_or(0);
    // A column without values may become one of large values of fixed size.
    let row_bytes = (bytes.fold(0, u64::saturating_add) / rows.max(1)).max(wanted.projection.row_bytes);
    let fitting = usize::try_from(bound.bytes / row_bytes.max(1)).unwrap_or(usize::MAX);
    fitting.clamp(1, bound.rows.max(1))
}

/// Ranges of rows in the format of the Parquet reader.
fn selection<'r>(rows: impl Iterator<Item = &'r Range<u64>>) -> RowSelection {
    let mut selectors = Vec::new();
    let mut next = 0;
    for range in rows {
        if range.start > next {
            selectors.push(RowSelector::skip((range.start - next) as usize));
        }
        selectors.push(RowSelector::select((range.end - range.start) as usize));
        next = range.end;
    }
    RowSelection::from(selectors)
}
