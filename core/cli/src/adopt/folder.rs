//! The folder of a published model, and its parts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyflow_weights::{Dtype, FileError, Listing, WeightsError, WeightsFiles};

use super::config::Config;
use super::error::{AdoptError, Result};

/// A folder.
pub struct ModelFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Its path as the model file has it.
    pub named: String,
    /// The variant of the weights to take, `fp16`.
    pub variant: Option<String>,
}

/// The weights of a part.
pub(super) struct PartWeights {
    /// As the model file names them: the folder, or the file of a variant.
    pub from: String,
    /// `f16`, `bf16` or `f32`: the type of most bytes.
    pub precision: &'static str,
}

impl ModelFolder {
    /// A part of a pipeline.
    pub fn part(&self, name: &str) -> ModelFolder {
        ModelFolder {
            path: self.path.join(name),
            named: format!("{}/{name}", self.named.trim_end_matches('/')),
            variant: self.variant.clone(),
        }
    }

    /// A name for the model: that of the folder.
    pub fn name(&self) -> String {
        let name = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        name.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned())
    }

    /// The configuration of a part.
    pub(super) fn config(&self) -> Result<Config> {
        let path = self.path.join("config.json");
        if path.is_file() {
            return Config::read(&path);
        }
        let folder = self.path.parent().unwrap_or(Path::new("")).display().to_string();
        Err(AdoptError::NoPart {
            folder,
            part: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        })
    }

    /// The weights of a part, from their headers. A variant is taken if the folder has no other weights.
    pub(super) fn weights(&self) -> Result<PartWeights> {
        let at = |error| FileError { path: self.path.clone(), error };
        let variants = WeightsFiles::variants(&self.path).map_err(at)?;
        let has = |variant: &str| variants.iter().any(|known| known == variant);
        let variant = match (&self.variant, variants.as_slice()) {
            // A part without the variant has the same weights in every precision.
            (Some(wanted), _) if has(wanted) || !has("") => Some(wanted.as_str()),
            (_, [only]) if !only.is_empty() => Some(only.as_str()),
            _ => None,
        };
        let found = WeightsFiles::find(&self.path, variant)?;
        let listing = Listing::of(&self.path, variant)?;
        let from = match (variant, found.index.as_ref().or(found.files.first())) {
            (Some(_), Some(file)) => format!("{}/{}", self.named, file.file_name().unwrap_or_default().display()),
            _ => self.named.clone(),
        };
        Ok(PartWeights { from, precision: precision(&listing) })
    }

    /// The tensors of a file in the folder.
    pub(super) fn listing(&self, file: &str) -> Result<Listing> {
        Ok(Listing::of(&self.path.join(file), None)?)
    }

    /// The names in the folder, sorted.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        let unreadable = |source| FileError { path: self.path.clone(), error: WeightsError::Read(source) };
        let entries = std::fs::read_dir(&self.path).map_err(unreadable)?;
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(names)
    }
}

fn precision(listing: &Listing) -> &'static str {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &listing.tensors {
        let word = match entry.dtype {
            Dtype::F16 => "f16",
            Dtype::BF16 => "bf16",
            Dtype::F32 | Dtype::F64 => "f32",
            _ => continue,
        };
        *sizes.entry(word).or_default() += entry.size_bytes;
    }
    sizes.into_iter().max_by_key(|(_, size)| *size).map_or("f32", |(word, _)| word)
}
