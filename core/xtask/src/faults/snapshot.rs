//! The contents of an output folder, to compare two folders in bytes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::job::Job;

/// Files that differ between two undisturbed runs, since they record time and place.
pub const DIFFERING: [&str; 2] = ["order.json", "run.json"];

/// Fields of JSON files that differ between two undisturbed runs, or that count restarts. The hash of weights covers
/// the duration of their stage; the rest of what it covers is compared.
const FIELDS: [&str; 7] =
    ["seconds", "seconds_per_row", "rows_per_second", "steps_per_second", "attempt", "output", "anyflow.blake3"];

/// The files of a folder by their names in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Number of temporary files of killed processes.
    pub left: usize,
}

impl Snapshot {
    /// Reads a folder; a missing folder has no files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut snapshot = Snapshot::default();
        let place = folder.display().to_string();
        for (name, bytes) in tree(folder)? {
            let file = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if file.ends_with(".tmp") {
                snapshot.left += 1;
            } else if is_compared(&name) {
                snapshot.files.insert(name, comparable(bytes, &place));
            }
        }
        Ok(snapshot)
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// True if there is a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(Path::new(name))
    }

    /// The first difference from what an undisturbed command wrote.
    pub fn difference(&self, wanted: &Snapshot) -> Option<String> {
        let names = self.files.keys().chain(wanted.files.keys());
        names.filter_map(|name| self.difference_in(name, wanted)).next()
    }

    /// The first file of an undisturbed command, except some names, that is missing or different. Ignores additional
    /// files.
    pub fn lack(&self, wanted: &Snapshot, apart: &[&str]) -> Option<String> {
        self.lack_of(wanted, |name| !apart.iter().any(|apart| name == Path::new(apart)))
    }

    /// The same for the chosen files.
    pub fn lack_of(&self, wanted: &Snapshot, chosen: impl Fn(&Path) -> bool) -> Option<String> {
        let names = wanted.files.keys().filter(|name| chosen(name));
        names.filter_map(|name| self.difference_in(name, wanted)).next()
    }

    /// The first published file that differs from that of an undisturbed command.
    pub fn published_wrong(&self, job: Job, wanted: &Snapshot) -> Option<String> {
        let published = self.files.keys().filter(|name| job.published(name));
        published.filter_map(|name| self.difference_in(name, wanted)).next()
    }

    fn difference_in(&self, name: &Path, wanted: &Snapshot) -> Option<String> {
        match (self.files.get(name), wanted.files.get(name)) {
            (Some(found), Some(wanted)) if found == wanted => None,
            (Some(found), Some(wanted)) => {
                Some(format!("{} differs ({} bytes for {})", name.display(), found.len(), wanted.len()))
            }
            (None, _) => Some(format!("{} is missing", name.display())),
            (_, None) => Some(format!("{} is left over", name.display())),
        }
    }
}

/// True if a file must be the same after each undisturbed command.
pub fn is_compared(name: &Path) -> bool {
    let file = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    !file.starts_with('.') && !DIFFERING.contains(&file)
}

/// All files of a folder and its sub-folders by relative name. Skips files that vanish meanwhile.
///
/// # Errors
/// A file cannot be read.
pub fn tree(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    while let Some(next) = waiting.pop() {
        let entries = match fs::read_dir(&next) {
            Err(error) if gone(&error) => continue,
            entries => entries.with_context(|| next.display().to_string())?,
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
                continue;
            }
            match fs::read(entry.path()) {
                Err(error) if gone(&error) => {}
                bytes => {
                    let name = entry.path().strip_prefix(folder).unwrap_or(&entry.path()).to_owned();
                    files.insert(name, bytes.with_context(|| entry.path().display().to_string())?);
                }
            }
        }
    }
    Ok(files)
}

/// JSON without variable fields and without the folder's own path; other bytes unchanged.
fn comparable(bytes: Vec<u8>, place: &str) -> Vec<u8> {
    if let Some(bytes) = weights(&bytes) {
        return bytes;
    }
    let Ok(text) = std::str::from_utf8(&bytes) else { return bytes };
    let lines = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match lines.collect::<Result<Vec<_>, _>>() {
        Ok(mut values) if !values.is_empty() => {
            values.iter_mut().for_each(strip);
            let lines: Vec<String> = values.iter().map(Value::to_string).collect();
            lines.join("\n").replace(place, "").into_bytes()
        }
        _ => bytes,
    }
}

/// A safetensors file without variable fields in its header: a finished stage stores its summary there.
fn weights(bytes: &[u8]) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (header, tensors) = rest.split_at_checked(u64::from_le_bytes(*length).try_into().ok()?)?;
    let mut header: Value = serde_json::from_slice(header).ok()?;
    strip(&mut header);
    Some([header.to_string().as_bytes(), tensors].concat())
}

/// Removes variable fields, also from JSON inside strings.
fn strip(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Ok(mut inner @ Value::Object(_)) = serde_json::from_str(text) {
                strip(&mut inner);
                *text = inner.to_string();
            }
        }
        Value::Object(fields) => {
            fields.retain(|name, _| !FIELDS.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_ignore_times_and_paths() {
        let [one, two] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        for (folder, seconds) in [(&one, 1), (&two, 2)] {
            let text = format!("{{\"seconds\": {seconds}, \"at\": \"{}/x\"}}\n", folder.path().display());
            fs::write(folder.path().join("metrics.jsonl"), format!("{text}{text}")).unwrap();
            fs::write(folder.path().join(".lock"), seconds.to_string()).unwrap();
        }
        let of = |folder: &tempfile::TempDir| Snapshot::of(folder.path()).unwrap();
        assert_eq!(of(&one).difference(&of(&two)), None);
        fs::create_dir(two.path().join("data")).unwrap();
        fs::write(two.path().join("data/a.parquet"), [1]).unwrap();
        assert_eq!(of(&one).difference(&of(&two)).unwrap(), "data/a.parquet is missing");
        assert_eq!(of(&two).difference(&of(&one)).unwrap(), "data/a.parquet is left over");
        fs::create_dir(one.path().join("data")).unwrap();
        fs::write(one.path().join("data/a.parquet"), [2, 3]).unwrap();
        assert_eq!(of(&one).difference(&of(&two)).unwrap(), "data/a.parquet differs (2 bytes for 1)");
    }
}
