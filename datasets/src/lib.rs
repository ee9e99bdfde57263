//! Arrow and Parquet: reading, writing, importing, shards and commits, failures

mod error;
mod feature;

pub use error::{DatasetError, Fault, Result};
pub use feature::{CellKind, Feature, Features, METADATA_KEY, dtype_from_arrow};
