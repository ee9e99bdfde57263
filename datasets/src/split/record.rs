//! The record of a split: which split a folder holds, and which files belong to it. Without it, a folder of a killed split would
//! look like one of a whole split, and a folder of two splits like one.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{DatasetError, Result};
use crate::folder::Folder;
use crate::job::JobId;
use crate::output::{FileHash, JOB_FILE, MANIFEST_FILE};
use crate::read::is_parquet;
use crate::record;

/// Its file in the folder of the parts.
pub(crate) const SPLIT_FILE: &str = "anyflow-split.json";
/// Increases when older versions would misread the file.
const FORMAT: u32 = 1;

/// A split that has begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SplitRecord {
    format: u32,
    /// What is split, and how.
    job: JobId,
    /// Its parts, once all are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parts: Option<Parts>,
}

/// The parts of a split that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Parts {
    pub(crate) files: Vec<PartFile>,
    pub(super) left_over: u64,
    pub(super) unreadable: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// The file of a part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PartFile {
    /// Its name in the folder.
    pub(crate) name: String,
    pub(super) rows: u64,
    #[serde(flatten)]
    pub(crate) content: FileHash,
}

impl SplitRecord {
    /// Reads the record of a folder, on the disk or in a store; `None` if no split wrote there.
    pub(crate) fn read(folder: &Path) -> Result<Option<SplitRecord>> {
        let path = folder.join(SPLIT_FILE);
        record::read::<SplitRecord>(&path)?.map(|found| found.of_known_format(&path)).transpose()
    }

    /// The record of this split in the folder that it is written to: the one that is there, else a new one.
    ///
    /// # Errors
    /// [`DatasetError::OtherJob`] if the folder holds another split, [`DatasetError::NotOurs`] if it holds other files, one of
    /// which a reader would take for a part.
    pub(super) fn claim(folder: &Folder, job: &JobId, names: &[String]) -> Result<SplitRecord> {
        let found = SplitRecord::read(folder.path())?;
        let differences = found.as_ref().map(|found| job.differences(&found.job)).unwrap_or_default();
        if !differences.is_empty() {
            return Err(DatasetError::OtherJob { path: folder.path().to_path_buf(), differences });
        }
        let is_foreign = |name: &String| match name.as_str() {
            JOB_FILE | MANIFEST_FILE => true,
            _ => is_parquet(Path::new(name)) && (found.is_none() || !names.contains(name)),
        };
        match folder.files("")?.into_iter().find(is_foreign) {
            Some(found) => Err(DatasetError::NotOurs { path: folder.path().to_path_buf(), found }),
            None => Ok(found.unwrap_or_else(|| SplitRecord { format: FORMAT, job: job.clone(), parts: None })),
        }
    }

    /// Writes the record into the folder.
    pub(super) fn write(&self, folder: &Folder) -> Result<()> {
        folder.write(SPLIT_FILE, &record::to_json(self)?)
    }

    fn of_known_format(self, path: &Path) -> Result<SplitRecord> {
        if self.format == FORMAT {
            return Ok(self);
        }
        Err(DatasetError::OtherFormat { path: path.to_path_buf(), found: self.format, known: FORMAT })
    }
}

impl Parts {
    /// True if the folder holds all files, with their lengths.
    pub(super) fn are_in(&self, folder: &Folder) -> Result<bool> {
        for file in &self.files {
            if folder.length(&file.name)? != Some(file.content.size_bytes) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
