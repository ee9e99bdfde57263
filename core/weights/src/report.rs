//! What fits and what does not when the weights of a model are in published files, by part. From headers alone: nothing of the
//! weights is read.

mod near;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::listing::Listing;
use crate::map::KeyMap;
use crate::transform::Transform;
use near::{Candidate, nearest};
pub use text::Refusal;

/// A weight of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedTensor {
    /// Its name in the model, `PART.NAME`.
    pub name: String,
    /// Axis sizes.
    pub shape: Vec<usize>,
    /// True if the model does without it.
    #[serde(default)]
    pub is_optional: bool,
}

/// The file, or files, of a part of the model.
#[derive(Clone, Copy, Debug)]
pub struct PartFiles<'a> {
    /// The beginning of its weights' names in the model, `streams.NAME.module`; empty for the whole model.
    pub part: &'a str,
    /// The beginning of their names in the files; empty for all that the files hold.
    pub inside: &'a str,
    /// How the rest of the names differs.
    pub map: &'a KeyMap,
    /// The tensors of the files.
    pub listing: &'a Listing,
}

/// The report on all parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WeightsReport {
    /// The parts, as given.
    pub parts: Vec<PartReport>,
    /// Weights of the model that belong to no part.
    pub uncovered: Vec<String>,
    /// Number of weights of the model.
    pub weights: usize,
}

/// The report on a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartReport {
    /// The part.
    pub part: String,
    /// Its files.
    pub files: Vec<String>,
    /// The types of the tensors in use, each once.
    pub types: BTreeSet<String>,
    /// Number of tensors in use.
    pub used: usize,
    /// Their size in the file.
    pub size_bytes: u64,
    /// Tensors of the file that the model has no use for, by their names in the file.
    pub unused: Vec<String>,
    /// Those that its map allows for.
    pub ignorable: Vec<String>,
    /// Weights of the model that are not in the file.
    pub missing: Vec<MissingTensor>,
    /// Tensors of another shape.
    pub misshapen: Vec<MisshapenTensor>,
}

/// A weight of the model that is not in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MissingTensor {
    /// Its name in the model.
    pub name: String,
    /// What may be meant by it in the file.
    pub near: Option<String>,
}

/// A tensor of another shape than the model's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MisshapenTensor {
    /// Its name in the model.
    pub name: String,
    /// Its name in the file.
    pub from: String,
    /// The model's shape.
    pub wanted: Vec<usize>,
    /// The shape in the file.
    pub found: Vec<usize>,
}

impl PartFiles<'_> {
    /// The name of a tensor of the file without the beginning that the part has there; `None` if it is not of the part.
    pub fn inner<'n>(&self, name: &'n str) -> Option<&'n str> {
        below(name, self.inside)
    }

    /// The name in the model of a name inside the part.
    pub fn full(&self, name: &str) -> String {
        if self.part.is_empty() { name.to_string() } else { format!("{}.{name}", self.part) }
    }
}

/// The rest of a name below a part. The dot matters: `streams.seen` is also a prefix of `streams.seen2.mean`.
fn below<'n>(name: &'n str, part: &str) -> Option<&'n str> {
    if part.is_empty() { Some(name) } else { name.strip_prefix(part)?.strip_prefix('.') }
}

impl WeightsReport {
    /// Compares the weights of a model with the headers of its files. A weight that several parts cover belongs to the one
    /// with the longest name.
    pub fn new(expected: &[ExpectedTensor], parts: &[PartFiles]) -> WeightsReport {
        let wanted: BTreeMap<&str, &[usize]> = expected.iter().map(|e| (e.name.as_str(), e.shape.as_slice())).collect();
        let mut landed: BTreeSet<String> = BTreeSet::new();
        let mut report = WeightsReport { weights: expected.len(), ..Default::default() };
        for part in parts {
            let (part, names) = of_part(part, &wanted);
            report.parts.push(part);
            landed.extend(names);
        }
        for missing in expected.iter().filter(|expected| !landed.contains(&expected.name) && !expected.is_optional) {
            let covers = |at: &usize| below(&missing.name, parts[*at].part).is_some();
            match (0..parts.len()).filter(covers).max_by_key(|at| parts[*at].part.len()) {
                None => report.uncovered.push(missing.name.clone()),
                Some(at) if parts[at].map.is_optional(below(&missing.name, parts[at].part).unwrap_or_default()) => {}
                Some(at) => report.parts[at].missing.push(MissingTensor { name: missing.name.clone(), near: None }),
            }
        }
        for (part, files) in report.parts.iter_mut().zip(parts) {
            hint(part, files, &wanted);
        }
        report
    }

    /// True if every weight of the model is in a file, with its shape.
    pub fn is_complete(&self) -> bool {
        let is_complete = |part: &PartReport| part.missing.is_empty() && part.misshapen.is_empty();
        self.uncovered.is_empty() && self.parts.iter().all(is_complete)
    }

    /// True if a file holds a tensor that the model has no use for, and its map does not allow for it.
    pub fn has_unused(&self) -> bool {
        self.parts.iter().any(|part| !part.unused.is_empty())
    }
}

/// A weight of the model put together from several tensors.
#[derive(Default)]
struct Joining {
    names: Vec<String>,
    /// Sum of the first axes, and the other axes; `None` if they differ.
    shape: Option<Vec<usize>>,
}

/// The report on a part, and the weights that it has.
fn of_part(files: &PartFiles, wanted: &BTreeMap<&str, &[usize]>) -> (PartReport, BTreeSet<String>) {
    let paths = files.listing.files.iter().map(|path| path.display().to_string()).collect();
    let mut report = PartReport { part: files.part.into(), files: paths, ..Default::default() };
    let mut landed = BTreeSet::new();
    let mut joins: BTreeMap<String, Joining> = BTreeMap::new();
    for entry in &files.listing.tensors {
        let Some(inner) = files.inner(&entry.name) else { continue };
        let landings = files.map.land(inner).into_iter().map(|landing| (files.full(&landing.name), landing.transform));
        let landings: Vec<(String, Transform)> =
            landings.filter(|(name, _)| wanted.contains_key(name.as_str())).collect();
        if landings.is_empty() {
            let left = if files.map.ignores(inner) { &mut report.ignorable } else { &mut report.unused };
            left.push(entry.name.clone());
            continue;
        }
        report.used += 1;
        report.size_bytes += entry.size_bytes as u64;
        report.types.insert(format!("{:?}", entry.dtype));
        for (name, transform) in landings {
            let shape = transform.shape(&entry.shape);
            if let Transform::Joined { .. } = transform {
                joins.entry(name).or_default().add(&entry.name, shape);
            } else {
                report.fit(
                    name.clone(),
                    entry.name.clone(),
                    wanted[name.as_str()],
                    shape.unwrap_or(entry.shape.clone()),
                );
                landed.insert(name);
            }
        }
    }
    for (name, joining) in joins {
        let found = joining.shape.unwrap_or_default();
        report.fit(name.clone(), joining.names.join(" + "), wanted[name.as_str()], found);
        landed.insert(name);
    }
    (report, landed)
}

impl PartReport {
    fn fit(&mut self, name: String, from: String, wanted: &[usize], found: Vec<usize>) {
        if found != wanted {
            self.misshapen.push(MisshapenTensor { name, from, wanted: wanted.to_vec(), found });
        }
    }
}

impl Joining {
    fn add(&mut self, name: &str, shape: Option<Vec<usize>>) {
        self.shape = match (self.shape.take(), shape) {
            (None, shape) if self.names.is_empty() => shape,
            (Some(known), Some(shape)) if !known.is_empty() && !shape.is_empty() && known[1..] == shape[1..] => {
                Some([&[known[0] + shape[0]][..], &known[1..]].concat())
            }
            _ => None,
        };
        self.names.push(name.to_string());
    }
}

/// Adds near names to the missing weights that are shown.
fn hint(report: &mut PartReport, files: &PartFiles, wanted: &BTreeMap<&str, &[usize]>) {
    let unused: BTreeSet<&String> = report.unused.iter().collect();
    let left = files.listing.tensors.iter().filter(|entry| unused.contains(&entry.name));
    let candidates: Vec<Candidate> = left.map(|entry| Candidate { name: &entry.name, shape: &entry.shape }).collect();
    for missing in report.missing.iter_mut().take(text::SHOWN) {
        let name = below(&missing.name, files.part).unwrap_or(&missing.name);
        let shape = wanted.get(missing.name.as_str()).copied().unwrap_or_default();
        missing.near = nearest(name, shape, &candidates);
    }
}

#[cfg(test)]
mod tests;
