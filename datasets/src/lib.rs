//! Rows on disk: Arrow and Parquet with the Hugging Face feature layout, in and out.
//!
//! | to | use |
//! | --- | --- |
//! | read files or folders as a stream of batches | [`Dataset`], [`Batches`] |
//! | know what a column means | [`Feature`], [`Features`], [`CellKind`] |
//! | hand single values to a codec and take them back | [`CellColumn`], [`Cell`], [`OwnedCell`], [`column_from_cells`] |
//! | name rows | [`RowKey`], [`row_keys`] |
//! | write the output of a job, each row exactly once | [`OutputDir`], [`JobId`], [`Failure`], [`Manifest`] |
//! | write one Parquet file | [`TableWriter`] |
//! | bring in folders, JSON lines, CSV, idx, WebDataset | [`ImportSource`], [`import`] |
//! | make data out of nothing | [`Generator`], [`generate`] |
//! | pair two datasets by class | [`pair`] |
//! | show a dataset to a person | [`inspect`], [`head`], [`Media`] |
//!
//! Memory is bounded everywhere: a stream holds one batch and a page of each column, whatever the size of the data.
//! Nothing here knows a tensor, a plugin or a network.
//!
//! ```no_run
//! use anyflow_datasets::{Bound, Dataset, JobId, OutputDir, Result, RowBatch, row_keys};
//!
//! fn copy(input: std::path::PathBuf, output: &std::path::Path) -> Result<()> {
//!     let dataset = Dataset::open(&[input])?;
//!     let job = JobId { fingerprint: dataset.fingerprint().to_string() };
//!     let output = OutputDir::open(output, &job)?;
//!     let shard_rows = 1000;
//!     for shard in 0..dataset.rows().div_ceil(shard_rows) {
//!         if output.committed(shard) {
//!             continue;
//!         }
//!         let first_row = shard * shard_rows;
//!         let batches = dataset.read(None, first_row..first_row + shard_rows, Bound::rows(256))?;
//!         let batches: Vec<RowBatch> = batches.collect::<Result<_>>()?;
//!         let _keys = row_keys(&batches[0].rows, None, first_row)?;
//!         let rows: Vec<_> = batches.into_iter().map(|batch| batch.rows).collect();
//!         output.write_shard(shard, &rows, dataset.features(), &[])?;
//!     }
//!     output.finish().map(drop)
//! }
//! ```

mod beneath;
mod cell;
mod draw;
mod durable;
mod encode;
mod error;
mod failpoint;
mod feature;
mod generate;
mod import;
mod inspect;
mod key;
mod list;
mod media;
mod memory;
mod output;
mod pair;
mod read;
mod rows;
mod source;
mod write;

pub use cell::{Cell, CellColumn, OwnedCell, column_from_cells};
pub use error::{DatasetError, Fault, Result};
pub use feature::{CellKind, Feature, Features, METADATA_KEY, dtype_from_arrow};
pub use generate::{Combinations, GENERATED_KEY, Generation, Generator, generate, generated};
pub use import::{ImportSource, Imported, LeftOut, import};
pub use inspect::{ColumnSummary, FileSummary, Inspection, head, inspect};
pub use key::{RowKey, repeated_keys, row_keys};
pub use list::{List, MAX_DEPTH, OwnedList};
pub use media::Media;
pub use memory::{default_memory, memory, use_memory};
pub use output::{Commit, FAILURES_FILE, Failure, JobId, Manifest, OutputDir, failures_schema};
pub use pair::{Paired, pair};
pub use read::{Batches, Bound, Dataset, Embedded, RowBatch, Taken, Unreadable};
pub use write::{ROW_GROUP_BYTES, TableWriter, Written};
