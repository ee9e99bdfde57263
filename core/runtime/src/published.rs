//! Weights in published files: compared with the model by their headers, then copied into it tensor by tensor.

use std::collections::BTreeMap;
use std::path::Path;

use anyflow_plan::plan::WeightsPart;
use anyflow_weights::{ExpectedTensor, FileError, KeyMap, Listing, PartFiles, Transform, WeightsError, WeightsReport};
use indexmap::IndexMap;
use tch::{TchError, Tensor};

use crate::assign::assign;
use crate::checkpoint::{self, Tensors};
use crate::{Result, RunError};

/// A part of the model with its files.
struct Part<'a> {
    name: &'a str,
    from: &'a WeightsPart,
    map: KeyMap,
    listing: Listing,
}

/// Gives `to` the weights of parts, after comparing names and shapes by headers alone. `model` is the file
/// that lists the parts. Returns hashes of what was read: part -> hash, or `PART FILE` if a part has several files, and
/// `PART map`. Memory: the largest tensor.
///
/// # Errors
/// [`RunError::Checkpoint`]: a file is missing, damaged, or does not fit; then nothing is copied.
pub fn load(
    to: &Tensors,
    wanted: &[ExpectedTensor],
    parts: &IndexMap<String, WeightsPart>,
    model: &str,
) -> Result<IndexMap<String, String>> {
    let parts = parts.iter().map(|(name, from)| Part::open(name, from)).collect::<Result<Vec<_>>>()?;
    let files: Vec<PartFiles> = parts.iter().map(Part::files).collect();
    if let Some(refusal) = WeightsReport::new(wanted, &files).refusal() {
        let path = refusal.path.unwrap_or_else(|| model.to_string());
        return Err(RunError::Checkpoint { path, text: refusal.text });
    }
    let mut hashes = IndexMap::new();
    for part in &parts {
        part.copy(to, &mut hashes)?;
    }
    Ok(hashes)
}

/// As [`load`], for files that need not hold all weights.
///
/// # Errors
/// See [`load`].
pub fn take(to: &Tensors, parts: &IndexMap<String, WeightsPart>, by: &str) -> Result<IndexMap<String, String>> {
    let wanted = |(name, tensor): (&String, &Tensor)| ExpectedTensor {
        name: name.clone(),
        shape: tensor.size().iter().map(|size| *size as usize).collect(),
        is_optional: true,
    };
    load(to, &to.iter().map(wanted).collect::<Vec<_>>(), parts, by)
}

impl<'a> Part<'a> {
    fn open(name: &'a str, from: &'a WeightsPart) -> Result<Part<'a>> {
        let map = from.map.as_deref().map(KeyMap::find).transpose().map_err(|error| refused(&from.from, error))?;
        let listing = Listing::of(Path::new(&from.from), None).map_err(unusable)?;
        let part = Part { name, from, map: map.unwrap_or_default(), listing };
        if !part.listing.tensors.iter().any(|entry| part.files().inner(&entry.name).is_some()) {
            let text = format!("has no part `{}`, from which `{name}` is to be taken; correct `part`", from.part);
            return Err(RunError::Checkpoint { path: from.from.clone(), text });
        }
        Ok(part)
    }

    fn files(&self) -> PartFiles<'_> {
        PartFiles { part: self.name, inside: &self.from.part, map: &self.map, listing: &self.listing }
    }

    /// Reads the files and copies their tensors.
    fn copy(&self, to: &Tensors, hashes: &mut IndexMap<String, String>) -> Result<()> {
        let files = self.files();
        let mut joins: BTreeMap<String, Vec<Option<Tensor>>> = BTreeMap::new();
        for path in &self.listing.files {
            let blake3 = checkpoint::read_each(path, |entry, bytes| {
                let Some(inner) = files.inner(&entry.name) else { return Ok(()) };
                for landing in self.map.land(inner) {
                    let name = files.full(&landing.name);
                    let Some(weight) = to.get(&name) else { continue };
                    let tensor = changed(&checkpoint::tensor_of(entry, bytes, path)?, landing.transform)?;
                    match landing.transform {
                        Transform::Joined { part, of } => {
                            joins.entry(name).or_insert_with(|| (0..of).map(|_| None).collect())[part] = Some(tensor);
                        }
                        _ => assign(weight, &tensor)?,
                    }
                }
                Ok(())
            })?;
            let name = match self.listing.files.len() {
                1 => self.name.to_string(),
                _ => format!("{} {}", self.name, path.file_name().unwrap_or_default().display()),
            };
            hashes.insert(name, blake3);
        }
        for (name, parts) in joins {
            let parts: Vec<Tensor> = parts.into_iter().flatten().collect();
            assign(&to[&name], &Tensor::f_cat(&parts, 0)?)?;
        }
        if let Some(hash) = self.map.own_blake3() {
            hashes.insert(format!("{} map", self.name), hash);
        }
        Ok(())
    }
}

/// The tensor after its change. A tensor to be joined stays as it is.
fn changed(tensor: &Tensor, transform: Transform) -> Result<Tensor, TchError> {
    match transform {
        Transform::Whole | Transform::Joined { .. } => Ok(tensor.shallow_clone()),
        Transform::Transposed => tensor.f_tr(),
        Transform::Squeezed => {
            let size: Vec<usize> = tensor.size().iter().map(|size| *size as usize).collect();
            let size = transform.shape(&size).unwrap_or(size);
            tensor.f_reshape(size.iter().map(|size| *size as i64).collect::<Vec<_>>())
        }
        Transform::Slice { part, of } => {
            let length = tensor.size().first().copied().unwrap_or_default() / of as i64;
            tensor.f_narrow(0, part as i64 * length, length)
        }
    }
}

fn unusable(FileError { path, error }: FileError) -> RunError {
    let text = match &error {
        WeightsError::Read(_) => {
            format!("{error}; correct its path in the YAML file (`from` of `checkpoint`), or fetch it")
        }
        other => other.to_string(),
    };
    RunError::Checkpoint { path: path.display().to_string(), text }
}

fn refused(path: &str, error: impl std::fmt::Display) -> RunError {
    RunError::Checkpoint { path: path.to_string(), text: error.to_string() }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn numbers_move_as_the_shapes_say() {
        let tensor = Tensor::arange(12, (Kind::Float, tch::Device::Cpu)).reshape([6, 2]);
        let numbers = |tensor: Tensor| Vec::<f32>::try_from(tensor.contiguous().flatten(0, -1)).unwrap();
        let slice = changed(&tensor, Transform::Slice { part: 1, of: 3 }).unwrap();
        assert_eq!((slice.size(), numbers(slice)), (vec![2, 2], vec![4.0, 5.0, 6.0, 7.0]));
        let turned = changed(&tensor, Transform::Transposed).unwrap();
        assert_eq!(numbers(turned)[..3], [0.0, 2.0, 4.0]);
        let squeezed = changed(&tensor.reshape([6, 2, 1, 1]), Transform::Squeezed).unwrap();
        assert_eq!((squeezed.size(), numbers(squeezed)), (vec![6, 2], numbers(tensor)));
    }
}
