//! A part of a job: an output folder with a share of the shards, which never gets a manifest. Several processes each write
//! one, and [`gather`](super::gather()) makes one output of them.
//!
//! ```text
//! parts/3-of-8/             an output folder with an eighth of the shards
//! parts/3-of-8/part.json    written last: all shards of the share are committed
//! ```
//! A part of shards that are given one by one has no share that could be missed: its record is there from the start.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::{Expected, OutputDir};
use crate::error::{DatasetError, Result, io_error};
use crate::failpoint;
use crate::natural::by_number;
use crate::record;

/// Folder of the parts inside the output folder of a job.
pub const PARTS_FOLDER: &str = "parts";
/// Proof that a part is complete.
pub const PART_FILE: &str = "part.json";
/// Increases when older versions would misread the file.
const PART_FORMAT: u32 = 1;

/// Content of `part.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PartRecord {
    format: u32,
    /// The size of the whole job.
    pub(super) job: Expected,
    /// License of the weights that made the rows, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) license: Option<String>,
}

impl PartRecord {
    /// The record of a job that is finished.
    pub(super) fn of(manifest: Manifest) -> PartRecord {
        let job = Expected { shards: manifest.shards.len() as u64, rows: manifest.rows + manifest.failures };
        PartRecord { format: PART_FORMAT, job, license: manifest.license }
    }

    pub(super) fn parse(path: &Path, content: &[u8]) -> Result<PartRecord> {
        let record: PartRecord = record::from_json(path, content)?;
        if record.format != PART_FORMAT {
            let path = path.to_path_buf();
            return Err(DatasetError::OtherFormat { path, found: record.format, known: PART_FORMAT });
        }
        Ok(record)
    }
}

impl OutputDir {
    /// Begins a part of shards that are given one by one.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn begin_given_part(&self, license: Option<&str>) -> Result<()> {
        self.write_part(license, false)
    }

    /// Ends a part of shards that are given one by one.
    ///
    /// # Errors
    /// [`DatasetError::Lost`] if another process changed the commits meanwhile; the disk or the store.
    pub fn finish_given_part(&self, license: Option<&str>) -> Result<()> {
        self.unchanged()?;
        self.write_part(license, true)
    }

    fn write_part(&self, license: Option<&str>, is_complete: bool) -> Result<()> {
        let inner = &*self.0;
        match &inner.store {
            Some(store) => store.write_part(inner.expected, license, is_complete),
            None => {
                let record =
                    PartRecord { format: PART_FORMAT, job: inner.expected, license: license.map(str::to_string) };
                inner.folder.write(PART_FILE, &record::to_json(&record)?)
            }
        }
    }

    /// Ends a part: checks that the commits add up to `share`, and records that they do.
    ///
    /// # Errors
    /// [`DatasetError::Incomplete`] if they do not, [`DatasetError::Lost`] if another process changed them meanwhile,
    /// [`DatasetError::Io`].
    pub fn finish_part(&self, share: Expected, license: Option<&str>) -> Result<()> {
        let inner = &*self.0;
        self.unchanged()?;
        let shards = self.commits().len() as u64;
        let (rows, failed) = self.progress();
        if (shards, rows.checked_add(failed)) != (share.shards, Some(share.rows)) {
            let reason = format!(
                "{shards} shards are committed with {rows} rows and {failed} failed ones, but the part has {} shards of {} \
                 rows",
                share.shards, share.rows
            );
            return Err(DatasetError::Incomplete { path: self.path().to_path_buf(), reason });
        }
        if inner.store.is_none() {
            self.write_failures()?;
        }
        self.write_part(license, true)?;
        failpoint::reach("part-finished");
        Ok(())
    }
}

/// The folders of a job's parts, sorted by name; none if there are none. Links are passed over.
///
/// # Errors
/// [`DatasetError::Io`].
pub(super) fn folders(output: &Path) -> Result<Vec<PathBuf>> {
    let parts = output.join(PARTS_FOLDER);
    let entries = match std::fs::read_dir(&parts) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(&parts, "list")(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error(&parts, "list"))?;
        if entry.file_type().map_err(io_error(&entry.path(), "read"))?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort_by(|a, b| by_number(a, b));
    Ok(found)
}
