//! Reads every file of a finished job in full, and compares it with the records.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::manifest::{Commit, FileHash, Manifest};
use super::names::{DATA_FOLDER, JOB_FILE, MANIFEST_FILE, commit_file};
use super::{FAILURES_FILE, Shard};
use crate::error::{DatasetError, Result, io_error};
use crate::hash::hash_of;
use crate::read::Part;
use crate::record;
use crate::store::Address;

/// Records of other crates next to ours. They must be readable.
const OTHER_RECORDS: [&str; 2] = ["order.json", "run.json"];

/// The result of [`Manifest::verify`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Files that were read in full.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// All damage; empty for a good output.
    pub damaged: Vec<Damage>,
}

/// A damaged, missing or foreign file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Path inside the output folder.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A file as the manifest lists it.
struct Listed<'m> {
    file: &'m str,
    rows: u64,
    size_bytes: u64,
    blake3: &'m str,
}

impl Manifest {
    /// Reads every file of the job in full and compares length, rows and hash with the manifest, and the records of the
    /// job with each other.
    ///
    /// # Errors
    /// [`DatasetError::Io`] if the folder cannot be listed. Damage of single files is in the result.
    pub fn verify(&self, folder: &Path) -> Result<Verification> {
        let mut found = Verification::default();
        if let Err(error) = self.agrees_with_job(folder) {
            found.note(JOB_FILE, error.to_string());
        }
        for shard in &self.shards {
            self.verify_commit(folder, shard, &mut found);
            let Some(file) = &shard.file else { continue };
            let Shard { rows, size_bytes, blake3, .. } = shard;
            let listed = Listed { file, rows: *rows, size_bytes: *size_bytes, blake3 };
            if let Some(part) = found.compare(folder, &listed)
                && let Some(reason) = shard.disagreement(&self.fingerprint, &part)
            {
                found.note(file, reason);
            }
        }
        if let Some(FileHash { size_bytes, blake3 }) = &self.failures_file {
            let rows = self.failures;
            let size_bytes = *size_bytes;
            found.compare(folder, &Listed { file: FAILURES_FILE, rows, size_bytes, blake3 });
        }
        self.look_for_strangers(folder, &mut found)?;
        for name in OTHER_RECORDS {
            if let Err(error) = record::read::<Value>(&folder.join(name)) {
                found.note(name, error.to_string());
            }
        }
        Ok(found)
    }

    /// Compares a commit with the manifest. A commit may be missing.
    fn verify_commit(&self, folder: &Path, shard: &Shard, found: &mut Verification) {
        let name = commit_file(shard.shard);
        match record::read::<Commit>(&folder.join(&name)) {
            Ok(Some(commit)) if commit.job != self.fingerprint || commit.shard != *shard => {
                found.note(&name, format!("differs from {MANIFEST_FILE} in shard {}", shard.shard));
            }
            Ok(_) => {}
            // Commits of format 1 do not name their job.
            Err(DatasetError::Record { .. }) if self.format == 1 => {}
            Err(error) => found.note(&name, error.to_string()),
        }
    }

    /// Finds files in `data` that the manifest does not list. Other programs would read them.
    fn look_for_strangers(&self, folder: &Path, found: &mut Verification) -> Result<()> {
        let listed = |file: &String| self.shards.iter().any(|shard| shard.file.as_ref() == Some(file));
        let names = names_in(&folder.join(DATA_FOLDER))?.into_iter();
        let mut strangers: Vec<String> = names.map(|name| format!("{DATA_FOLDER}/{name}")).collect();
        strangers.retain(|file| file.ends_with(".parquet") && !file.starts_with("data/.") && !listed(file));
        strangers.sort();
        strangers.iter().for_each(|file| found.note(file, "is not one of the job's files"));
        Ok(())
    }
}

/// The names in a folder or below an address; none if there is no such folder.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    if let Some(address) = Address::parse(folder)? {
        return Ok(address.list()?.into_iter().map(|object| object.name).collect());
    }
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io_error(folder, "list"))? {
        names.push(entry.map_err(io_error(folder, "list"))?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

impl Verification {
    fn note(&mut self, file: &str, reason: impl Into<String>) {
        self.damaged.push(Damage { file: file.to_string(), reason: reason.into() });
    }

    /// Reads a file in full. Returns the opened file if it is the listed one.
    fn compare(&mut self, folder: &Path, listed: &Listed<'_>) -> Option<Part> {
        let path = folder.join(listed.file);
        let part = match Part::open(&path, 0) {
            Ok(part) => part,
            Err(error) => {
                self.note(listed.file, error.to_string());
                return None;
            }
        };
        let hash = part.source.stream().and_then(|mut file| hash_of(&mut file).map_err(io_error(&path, "read")));
        self.files += 1;
        self.bytes += part.source.size_bytes;
        let reason = match hash {
            Err(error) => error.to_string(),
            Ok(_) if (part.source.size_bytes, part.rows) != (listed.size_bytes, listed.rows) => format!(
                "has {} bytes and {} rows, but {} bytes and {} rows are listed",
                part.source.size_bytes, part.rows, listed.size_bytes, listed.rows
            ),
            Ok(hash) if hash.to_hex().as_str() != listed.blake3 => {
                "has other content than was written: its hash is not the listed one".into()
            }
            Ok(_) => return Some(part),
        };
        self.note(listed.file, reason);
        None
    }
}
