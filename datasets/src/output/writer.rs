//! Writes a shard batch by batch.

use arrow::array::RecordBatch;

use super::manifest::Commit;
use super::mark::{MARK_KEY, Mark};
use super::names::{commit_file, shard_file};
use super::shard::Shard;
use super::{Failure, OutputDir};
use crate::error::{DatasetError, Result};
use crate::failpoint;
use crate::feature::Features;
use crate::record;
use crate::write::TableWriter;

/// A shard in progress. [`ShardWriter::commit`] makes it valid; dropping it earlier leaves nothing.
pub struct ShardWriter {
    output: OutputDir,
    shard: u64,
    features: Features,
    /// `None` before the first batch.
    file: Option<TableWriter>,
}

impl ShardWriter {
    pub(super) fn new(output: OutputDir, shard: u64, features: Features) -> ShardWriter {
        ShardWriter { output, shard, features, file: None }
    }

    /// Index of the shard.
    pub fn index(&self) -> u64 {
        self.shard
    }

    /// Appends a batch. All batches share the first one's schema, whose metadata is kept. A shard without any batch
    /// (every row failed) has no file.
    ///
    /// # Errors
    /// [`DatasetError::Io`]; [`DatasetError::Internal`] for another schema.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let name = shard_file(self.shard);
                let file = TableWriter::create_in(&self.output.0.folder, &name, &batch.schema(), &self.features)?;
                self.file.insert(file)
            }
        };
        file.write(batch)
    }

    /// Completes the shard with its failed rows.
    ///
    /// # Errors
    /// [`DatasetError::Io`]; [`DatasetError::Lost`] if another process took the folder; [`DatasetError::Internal`] if
    /// the shard was committed meanwhile.
    pub fn commit(self, failures: &[Failure]) -> Result<()> {
        let inner = &*self.output.0;
        let mut shard = Shard::without_file(self.shard);
        if let Some(mut file) = self.file {
            let rows = file.rows();
            let job = inner.fingerprint.clone();
            let of = inner.expected.shards;
            file.note(MARK_KEY, Mark { job, shard: self.shard, of, rows }.to_text()?);
            shard = Shard::with_file(self.shard, file.finish()?);
        }
        failpoint::reach("shard-renamed");
        let shard = inner.store.as_ref().map_or(Ok(shard.clone()), |store| store.upload(&inner.folder, shard))?;
        let job = inner.fingerprint.clone();
        let attempt = inner.attempt;
        let mut commit = Commit { shard, job, attempt, failures: failures.to_vec() };
        let mut commits = self.output.commits();
        if commits.contains_key(&self.shard) {
            let action = format!("committing shard {}", self.shard);
            return Err(DatasetError::internal(action, "it is committed already"));
        }
        match &inner.store {
            None => inner.folder.write(&commit_file(self.shard), &record::to_json(&commit)?)?,
            Some(store) => commit = store.commit(commit)?,
        }
        failpoint::reach("committed");
        commits.insert(self.shard, commit);
        Ok(())
    }
}
