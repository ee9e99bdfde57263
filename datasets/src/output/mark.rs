//! The record of a shard in its own file.

use serde::{Deserialize, Serialize};

use crate::error::{DatasetError, Result};
use crate::read::Part;

/// Key of the Parquet metadata that identifies the job and the shard of a file.
pub(crate) const MARK_KEY: &str = "anyflow.shard";

/// The record of a shard in its own metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Fingerprint of the job.
    pub(crate) job: String,
    pub(crate) shard: u64,
    /// Number of shards of the job.
    pub(crate) of: u64,
    pub(crate) rows: u64,
}

impl Mark {
    pub(super) fn to_text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| DatasetError::internal("marking a shard", error))
    }

    /// The mark of a file; `None` if no job wrote it.
    pub(crate) fn of(part: &Part) -> Option<Mark> {
        let metadata = part.metadata.metadata().file_metadata().key_value_metadata()?;
        let value = metadata.iter().find(|pair| pair.key == MARK_KEY)?.value.as_ref()?;
        serde_json::from_str(value).ok()
    }
}
