//! Arrow and Parquet: reading, writing, importing, shards and commits, failures

mod cell;
mod durable;
mod error;
mod failpoint;
mod feature;
mod import;
mod inspect;
mod key;
mod media;
mod output;
mod pair;
mod read;
mod source;
mod write;

pub use cell::{Cell, CellColumn, OwnedCell, column_from_cells};
pub use error::{DatasetError, Fault, Result};
pub use feature::{CellKind, Feature, Features, METADATA_KEY, dtype_from_arrow};
pub use import::{ImportSource, Imported, import};
pub use inspect::{ColumnSummary, FileSummary, Inspection, head, inspect};
pub use key::{RowKey, row_keys};
pub use media::Media;
pub use output::{Commit, FAILURES_FILE, Failure, JobId, Manifest, OutputDir, failures_schema};
pub use pair::{Paired, pair};
pub use read::{Batches, Dataset};
pub use write::{ROW_GROUP_BYTES, TableWriter, Written};
