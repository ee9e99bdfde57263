//! WebDataset: tar files whose members are grouped into rows by name.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{Imported, names, open, refusal};
use crate::cell::OwnedCell;
use crate::error::Result;
use crate::feature::{CellKind, Feature, Features};
use crate::rows::{Rows, Value};

const ID: &str = "id";

pub(super) fn import(files: &[PathBuf], out: &Path) -> Result<Imported> {
    let features = features(files)?;
    let mut rows = Rows::create(out, features.clone())?;
    for file in files {
        let mut sample = Sample::default();
        members(file, |key, extension, name, reader| {
            if sample.key != key {
                std::mem::replace(&mut sample, Sample::new(key)).push_to(&mut rows, &features)?;
            }
            sample.add(file, extension, name, reader)
        })?;
        sample.push_to(&mut rows, &features)?;
    }
    let (rows, features) = rows.finish()?;
    Ok(Imported { rows, features, left_out: 0 })
}

/// Members seen so far of one row.
#[derive(Default)]
struct Sample {
    key: String,
    values: IndexMap<String, Value>,
}

impl Sample {
    fn new(key: &str) -> Sample {
        Sample { key: key.to_string(), values: IndexMap::new() }
    }

    fn add(&mut self, file: &Path, extension: &str, name: &str, reader: &mut dyn Read) -> Result<()> {
        let (column, feature) = names::member(extension);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|error| refusal(file, format!("member {name}: {error}")))?;
        let value = value(bytes, &feature, name).map_err(|reason| refusal(file, format!("member {name}: {reason}")))?;
        if self.values.insert(column.clone(), value).is_some() {
            let reason = format!("{name} is the second {column} of its row; give it another name before the extension");
            return Err(refusal(file, reason));
        }
        Ok(())
    }

    fn push_to(mut self, rows: &mut Rows, features: &Features) -> Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        self.values.insert(ID.into(), Value::text(self.key));
        let row = features.keys().map(|column| self.values.swap_remove(column).unwrap_or(Value::Null)).collect();
        rows.push(row)
    }
}

/// First pass: which columns there are, in order of appearance; contents are skipped.
fn features(files: &[PathBuf]) -> Result<Features> {
    let mut features = Features::default();
    features.0.insert(ID.into(), Feature::Value("string".into()));
    let mut seen = BTreeSet::new();
    for file in files {
        members(file, |_, extension, name, _| {
            if !seen.insert(extension.to_string()) {
                return Ok(());
            }
            let (column, feature) = names::member(extension);
            let known = features.0.entry(column.clone()).or_insert_with(|| feature.clone());
            if *known == feature && column != ID {
                return Ok(());
            }
            Err(refusal(file, format!("{name} is {}, but column {column} is {}", feature.describe(), known.describe())))
        })?;
    }
    if seen.is_empty() {
        let first = files.first().cloned().unwrap_or_default();
        return Err(refusal(&first, "holds no file that could be a row (KEY.EXTENSION)"));
    }
    Ok(features)
}

/// Calls `visit(key, extension, name, content)` for every file in the tar.
fn members(file: &Path, mut visit: impl FnMut(&str, &str, &str, &mut dyn Read) -> Result<()>) -> Result<()> {
    let damaged = |error: std::io::Error| refusal(file, format!("is no complete tar file ({error}); fetch it again"));
    let mut archive = tar::Archive::new(open(file)?);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path().map_err(damaged)?.to_string_lossy().into_owned();
        let (folder, base) = name.rsplit_once('/').map_or(("", name.as_str()), |(folder, base)| (folder, base));
        let Some((stem, extension)) = base.split_once('.').filter(|(stem, _)| !stem.is_empty()) else { continue };
        let key = if folder.is_empty() { stem.to_string() } else { format!("{folder}/{stem}") };
        visit(&key, &extension.to_lowercase(), &name, &mut entry)?;
    }
    Ok(())
}

fn value(bytes: Vec<u8>, feature: &Feature, name: &str) -> Result<Value, String> {
    if feature.is_media() {
        return Ok(Value::File { bytes, name: name.to_string() });
    }
    if feature.cell() == Some(CellKind::Bytes) {
        return Ok(Value::Cell(OwnedCell::Bytes(bytes)));
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_string())?;
    if feature.cell() == Some(CellKind::Utf8) {
        return Ok(Value::text(text));
    }
    let number = text.trim().parse().map_err(|_| format!("`{}` is no whole number", text.trim()))?;
    Ok(Value::Cell(OwnedCell::I64(number)))
}
