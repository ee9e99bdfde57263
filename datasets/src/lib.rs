//! Rows on disk: Arrow and Parquet with the Hugging Face feature layout, in and out.
//!
//! | to | use |
//! | --- | --- |
//! | read files or folders as a stream of batches | [`Dataset`], [`Batches`] |
//! | read the rows that a condition selects | [`RowFilter`], [`RowSet`], [`SelectedRows`] |
//! | know what a column means | [`Feature`], [`Features`], [`CellKind`] |
//! | pass single values to a codec and back | [`CellColumn`], [`Cell`], [`OwnedCell`], [`column_from_cells`] |
//! | name rows | [`RowKey`], [`row_keys`] |
//! | write to a folder that no other process writes to | [`Folder`], [`NewFile`] |
//! | write the output of a job, each row exactly once | [`OutputDir`], [`ShardWriter`], [`JobId`], [`Failure`], [`Manifest`] |
//! | make one output of the parts of a job | [`gather`], [`job_progress`], [`committed_shards`] |
//! | write one Parquet file | [`TableWriter`] |
//! | import folders, JSON lines, CSV, idx, WebDataset | [`ImportSource`], [`import`] |
//! | generate data | [`Generator`], [`generate`] |
//! | pair two datasets by class, join them by key, split one | [`pair`], [`join`], [`split`] |
//! | show a dataset to a person | [`inspect`], [`head`], [`Media`] |
//!
//! Memory is bounded everywhere: a stream holds one batch and one page per column, for data of any size. This crate
//! knows no tensors, plugins or networks.
//!
//! ```no_run
//! use anyflow_datasets::{Bound, Dataset, Expected, Folder, JobId, OutputDir, Result};
//!
//! fn copy(input: std::path::PathBuf, output: &std::path::Path) -> Result<()> {
//!     let dataset = Dataset::open(&[input])?;
//!     let job = JobId::default().with("input", dataset.fingerprint());
//!     let shard_rows = 1000;
//!     let expected = Expected { shards: dataset.rows().div_ceil(shard_rows), rows: dataset.rows() };
//!     let output = OutputDir::open(Folder::open(output)?, &job, expected)?;
//!     for index in (0..expected.shards).filter(|index| !output.committed(*index)) {
//!         let first_row = index * shard_rows;
//!         let mut shard = output.shard(index, dataset.features())?;
//!         for batch in dataset.read(None, first_row..first_row + shard_rows, Bound::rows(256))? {
//!             shard.write(&batch?.rows)?;
//!         }
//!         shard.commit(&[])?;
//!     }
//!     output.finish().map(drop)
//! }
//! ```

mod beneath;
mod cell;
mod data_file;
mod difference;
mod draw;
mod encode;
mod error;
mod escape;
mod failpoint;
mod feature;
mod filter;
mod folder;
mod foreign;
mod generate;
mod hash;
mod import;
mod inspect;
mod job;
mod key;
mod list;
mod media;
mod memory;
mod natural;
mod output;
mod pair;
mod read;
mod record;
mod regular;
mod row_set;
mod rows;
mod spelling;
mod split;
mod store;
mod width;
mod write;

pub use cell::{Cell, CellColumn, OwnedCell, column_from_cells};
pub use difference::Difference;
pub use error::{DatasetError, Fault, Result};
pub use escape::{escape_json, escape_line, escape_text, steers_terminal};
pub use failpoint::{FAILPOINT_VARIABLE, FAILPOINTS, PART_FAILPOINTS, STORE_FAILPOINTS};
pub use feature::{CellKind, Feature, Features, METADATA_KEY, dtype_from_arrow};
pub use filter::{RowFilter, selected};
pub use folder::{Folder, NewFile};
pub use generate::{Combinations, GENERATED_KEY, Generation, Generator, generate, generate_into, generated};
pub use import::{ColumnType, ColumnTypes, ImportSource, Imported, LeftOut, import};
pub use inspect::{ColumnSummary, FileSummary, Inspection, head, inspect};
pub use job::JobId;
pub use key::{DEFAULT_KEY, RowKey, check_key, repeated_keys, row_keys};
pub use list::{List, MAX_DEPTH, OwnedList};
pub use media::Media;
pub use memory::{default_memory, memory, use_memory};
pub use output::{
    Commit, Damage, Expected, FAILURES_FILE, Failure, FileHash, Gathering, MANIFEST_FILE, Manifest, Orphan, OutputDir,
    PART_FILE, PARTS_FOLDER, PartProgress, Shard, ShardAttempts, ShardWriter, StoredPart, Verification,
    committed_shards, failures_schema, gather, is_committed, job_progress, remove_orphans,
};
pub use pair::{KeyJoin, Lost, Paired, Renamed, join, pair};
pub use read::{
    Batches, Bound, Content, Dataset, Embedded, FileVersion, RowBatch, SelectedBatch, SelectedRows, TakenRows,
    UnreadableRow,
};
pub use regular::{MAX_RECORD_BYTES, open_regular, read_regular};
pub use row_set::RowSet;
pub use split::{SplitFile, SplitPart, SplitResult, Splitting, split};
pub use store::{is_address, is_there, try_access};
pub use write::{ROW_GROUP_BYTES, TableWriter, WrittenFile};
