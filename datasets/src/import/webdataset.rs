//! WebDataset: tar files whose members are grouped into rows by name.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::left_out::Tally;
use super::tar::{Member, members};
use super::{Imported, names, refusal};
use crate::cell::OwnedCell;
use crate::error::Result;
use crate::feature::{CellKind, Feature, Features};
use crate::rows::{Rows, Value};

const ID: &str = "id";
const NO_PART: &str = "not named KEY.EXTENSION";

pub(super) fn import(files: &[PathBuf], out: &Path) -> Result<Imported> {
    let features = features(files)?;
    let mut rows = Rows::create(out, features.clone())?;
    let mut left_out = Tally::default();
    for file in files {
        let mut sample = Sample::default();
        let mut complete = HashSet::new();
        each_part(file, &mut left_out, |part, member| {
            if sample.key != part.key {
                complete.insert(sample.key.clone());
                std::mem::replace(&mut sample, Sample::new(&part.key)).push_to(&mut rows, &features)?;
            }
            if complete.contains(&part.key) {
                let reason = format!(
                    "{} belongs to row {}, whose other files do not lie together with it; sort the files by name when \
                     the tar file is made",
                    member.name, part.key
                );
                return Err(refusal(file, reason));
            }
            sample.add(file, &part.extension, member)
        })?;
        sample.push_to(&mut rows, &features)?;
    }
    let (rows, features) = rows.finish()?;
    Ok(Imported { rows, features, left_out: left_out.finish() })
}

/// The members of one row so far.
#[derive(Default)]
struct Sample {
    key: String,
    values: IndexMap<String, Value>,
}

impl Sample {
    fn new(key: &str) -> Sample {
        Sample { key: key.to_string(), values: IndexMap::new() }
    }

    fn add(&mut self, file: &Path, extension: &str, mut member: Member<'_>) -> Result<()> {
        let (column, feature) = names::member(extension);
        let name = member.name;
        let bytes = member.read().map_err(|error| refusal(file, format!("member {name}: {error}")))?;
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

/// First pass: finds the columns, in order of appearance. Skips contents.
fn features(files: &[PathBuf]) -> Result<Features> {
    let mut features = Features::default();
    features.0.insert(ID.into(), Feature::Value("string".into()));
    let mut seen = BTreeSet::new();
    for file in files {
        each_part(file, &mut Tally::default(), |part, member| {
            if !seen.insert(part.extension.clone()) {
                return Ok(());
            }
            let (column, feature) = names::member(&part.extension);
            let known = features.0.entry(column.clone()).or_insert_with(|| feature.clone());
            if *known == feature && column != ID {
                return Ok(());
            }
            let found = feature.describe();
            let known = known.describe();
            Err(refusal(file, format!("{} is {found}, but column {column} is {known}", member.name)))
        })?;
    }
    if seen.is_empty() {
        let first = files.first().cloned().unwrap_or_default();
        return Err(refusal(&first, "holds no file that could be a row (KEY.EXTENSION)"));
    }
    Ok(features)
}

/// The parts of a member's name.
struct Part {
    /// The row: folder and file name up to the first dot.
    key: String,
    /// Everything after the first dot.
    extension: String,
}

/// Calls `visit` for every member of a row.
fn each_part(file: &Path, left_out: &mut Tally, mut visit: impl FnMut(Part, Member<'_>) -> Result<()>) -> Result<()> {
    let mut nameless = Tally::default();
    members(file, left_out, |member| {
        let (folder, base) = member.name.rsplit_once('/').unwrap_or(("", member.name));
        let Some((stem, extension)) = base.split_once('.').filter(|(stem, _)| !stem.is_empty()) else {
            nameless.note(NO_PART, member.name);
            return Ok(());
        };
        let key = if folder.is_empty() { stem.to_string() } else { format!("{folder}/{stem}") };
        visit(Part { key, extension: extension.to_lowercase() }, member)
    })?;
    left_out.add(nameless);
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
    let number = text.trim().parse().map_err(|_| format!("`{}` is not an integer", text.trim()))?;
    Ok(Value::Cell(OwnedCell::I64(number)))
}
