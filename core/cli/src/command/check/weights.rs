//! `anyflow check --weights`: which weights of a model are in its files, from headers alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyflow_plan::order::WeightsOrder;
use anyflow_plan::plan::{Checkpoint, Model, PLAN_FORMAT, WeightsPart};
use anyflow_weights::{ExpectedTensor, KeyMap, Listing, PartFiles, PartReport, WeightsReport};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::json;

use crate::command::{bytes, table};
use crate::console::{CommandResult, Console};
use crate::engine;
use crate::error::{CliError, Result};
use crate::order::plugins_allowed;
use crate::progress::Progress;

/// What the engine answers.
#[derive(Deserialize)]
struct WantedWeights {
    tensors: IndexMap<String, Vec<usize>>,
    optional: BTreeSet<String>,
}

/// A part with its files.
struct Part {
    name: String,
    inside: String,
    map: KeyMap,
    listing: Listing,
}

/// Prints the report: exit code 0, also with unused tensors, or 2 if weights are missing or of another shape.
///
/// # Errors
/// The model names no weights, a file cannot be used, or the engine fails.
pub(super) fn check(model: &Model, console: &Console) -> Result<CommandResult> {
    let parts = parts(model)?;
    let files: Vec<PartFiles> = parts.iter().map(Part::files).collect();
    let report = WeightsReport::new(&expected(model)?, &files);
    let not_read = not_read(&parts);
    if report.is_complete() && report.has_unused() {
        console.warn(
            "the files hold tensors that this model does not use; a run refuses them unless its key map ignores them",
        );
    }
    let json = json!({
        "model": model.name, "license": model.license, "is_complete": report.is_complete(), "report": report,
        "not_read": not_read,
    });
    Ok(CommandResult { text: text(model, &report, &not_read), json, code: if report.is_complete() { 0 } else { 2 } })
}

/// The weights that the model wants, by the engine.
fn expected(model: &Model) -> Result<Vec<ExpectedTensor>> {
    let order = WeightsOrder { format: PLAN_FORMAT, model: model.clone(), plugins_allowed: plugins_allowed()? };
    let launch = engine::Launch { order: &order, arguments: &["--weights", "-"], threads: 1 };
    let answer = engine::execute(&launch, &mut Progress::silent())?;
    let WantedWeights { tensors, optional } = serde_json::from_value(answer).map_err(CliError::internal)?;
    let expected = |(name, shape): (String, Vec<usize>)| {
        let is_optional = optional.contains(&name);
        ExpectedTensor { name, shape, is_optional }
    };
    Ok(tensors.into_iter().map(expected).collect())
}

fn parts(model: &Model) -> Result<Vec<Part>> {
    match &model.checkpoint {
        Some(Checkpoint::Parts(parts)) => parts.iter().map(|(name, part)| Part::open(name, part)).collect(),
        Some(Checkpoint::File(file)) => {
            let whole = WeightsPart { from: file.clone(), part: String::new(), map: None };
            Ok(vec![Part::open("", &whole)?])
        }
        None => Err(CliError::Usage(format!("{} names no weights: it has no `checkpoint`", model.source))),
    }
}

impl Part {
    fn open(name: &str, part: &WeightsPart) -> Result<Part> {
        let map = part.map.as_deref().map(KeyMap::find).transpose()?.unwrap_or_default();
        let listing = Listing::of(Path::new(&part.from), None)?;
        Ok(Part { name: name.to_string(), inside: part.part.clone(), map, listing })
    }

    fn files(&self) -> PartFiles<'_> {
        PartFiles { part: &self.name, inside: &self.inside, map: &self.map, listing: &self.listing }
    }
}

fn text(model: &Model, report: &WeightsReport, not_read: &[(String, u64)]) -> String {
    let license = model.license.as_deref().unwrap_or("no license given");
    let head = ["part", "file", "type", "used", "unused", "missing", "shape"].map(str::to_string).to_vec();
    let rows = std::iter::once(head).chain(report.parts.iter().map(row)).collect::<Vec<_>>();
    let mut text = format!("{}  {license}\n{}", model.name, table(&rows));
    for part in &report.parts {
        part.remarks().iter().for_each(|remark| text += &format!("{}: {remark}\n", named(&part.part)));
    }
    if let Some(refusal) = report.refusal().filter(|_| !report.uncovered.is_empty()) {
        text += &format!("{}\n", refusal.text);
    }
    for (folder, size_bytes) in not_read {
        text += &format!("not read: {folder} ({})\n", bytes(*size_bytes));
    }
    let size_bytes = report.parts.iter().map(|part| part.size_bytes).sum();
    text + &format!("{} of weights in use; nothing of them was read", bytes(size_bytes))
}

fn row(part: &PartReport) -> Vec<String> {
    let file = match part.files.as_slice() {
        [file] => short(file),
        [first, ..] => format!("{} ({} files)", short(first), part.files.len()),
        [] => String::new(),
    };
    let types = part.types.iter().cloned().collect::<Vec<_>>().join("+").to_lowercase();
    let unused = part.unused.len() + part.ignorable.len();
    let counts = [part.used, unused, part.missing.len(), part.misshapen.len()].map(|count| count.to_string());
    [named(&part.part), file, types].into_iter().chain(counts).collect()
}

fn named(part: &str) -> String {
    if part.is_empty() { "all".into() } else { part.into() }
}

/// The file with its folder.
fn short(path: &str) -> String {
    let path = Path::new(path);
    let parts: Vec<_> = path.components().rev().take(2).collect();
    parts.into_iter().rev().collect::<PathBuf>().display().to_string()
}

/// Folders with weights beside those that are read, in folders of whole pipelines, and their sizes.
fn not_read(parts: &[Part]) -> Vec<(String, u64)> {
    let read: BTreeSet<&Path> =
        parts.iter().flat_map(|part| &part.listing.files).filter_map(|file| file.parent()).collect();
    let roots: BTreeSet<&Path> = read
        .iter()
        .filter_map(|folder| folder.parent())
        .filter(|root| root.join("model_index.json").is_file())
        .collect();
    let mut left = Vec::new();
    for root in roots {
        let folders = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        let folders: BTreeSet<PathBuf> = folders.filter(|folder| !read.contains(folder.as_path())).collect();
        left.extend(folders.iter().filter_map(|folder| {
            let size_bytes = Listing::of(folder, None).ok()?.size_bytes();
            Some((format!("{}/", folder.file_name()?.display()), size_bytes))
        }));
    }
    left
}
