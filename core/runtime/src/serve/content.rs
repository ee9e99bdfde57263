//! The content of a pipeline's model: what it is made of, apart from the paths. Pipelines of equal content share one
//! loaded model.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use anyflow_plan::plan::{Component, PromptConfig, RunPlan};

use crate::{Result, RunError};

/// Hashes of files, as long as these keep their length and time.
#[derive(Default)]
pub struct FileHashes(Mutex<HashMap<PathBuf, KnownHash>>);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    bytes: u64,
    changed: Option<SystemTime>,
}

struct KnownHash {
    version: Version,
    hash: String,
}

/// The content of a model, and the size of its files.
pub struct ModelContent {
    /// A hash of everything that the loaded model depends on.
    pub key: String,
    /// Bytes of its weights files: about the memory that the model will take.
    pub file_bytes: u64,
}

impl FileHashes {
    /// The content of the model and the scorers of a pipeline.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn content(&self, plan: &RunPlan) -> Result<ModelContent> {
        let mut model = plan.model.clone();
        let mut scorers = plan.scorers.clone();
        let mut file_bytes = 0;
        model.source.clear();
        model.license = None;
        let checkpoints = model.checkpoint.iter_mut().flat_map(|checkpoint| checkpoint.paths_mut());
        for path in checkpoints.chain(scorers.values_mut().filter_map(|scorer| scorer.checkpoint.as_mut())) {
            *path = self.of_path(Path::new(path.as_str()), &mut file_bytes)?;
        }
        let of_streams =
            model.streams.values_mut().flat_map(|stream| [Some(&mut stream.codec), stream.module.as_mut()]);
        let encoded = model.prompts.values_mut().filter_map(PromptConfig::encoded_mut);
        let of_prompts = encoded.flat_map(|prompt| [Some(&mut prompt.codec), Some(&mut prompt.module)]);
        let of_scorers = scorers.values_mut().map(|scorer| scorer.module.as_mut());
        for component in of_streams.chain(of_prompts).chain(of_scorers).flatten() {
            self.set_library(component)?;
        }
        let text = serde_json::to_vec(&(&model, &scorers)).map_err(|error| RunError::Internal(error.to_string()))?;
        Ok(ModelContent { key: blake3::hash(&text).to_hex().to_string(), file_bytes })
    }

    fn set_library(&self, component: &mut Component) -> Result<()> {
        component.library = self.of_path(Path::new(&component.library), &mut 0)?;
        Ok(())
    }

    /// The hash of a file, or of the names, lengths and times of the files in a folder. Adds their lengths to `bytes`.
    fn of_path(&self, path: &Path, bytes: &mut u64) -> Result<String> {
        if !path.is_dir() {
            return self.of_file(path, bytes);
        }
        let mut listed = Vec::new();
        for entry in std::fs::read_dir(path).map_err(RunError::io(path))? {
            let file = entry.map_err(RunError::io(path))?.path();
            let Version { bytes: length, changed } = version(&file)?;
            *bytes += length;
            listed.push(format!("{:?} {length} {changed:?}", file.file_name()));
        }
        listed.sort();
        Ok(format!("{} {}", path.display(), listed.join(", ")))
    }

    fn of_file(&self, path: &Path, bytes: &mut u64) -> Result<String> {
        let version = version(path)?;
        *bytes += version.bytes;
        let known = |hashes: &HashMap<PathBuf, KnownHash>| {
            hashes.get(path).filter(|known| known.version == version).map(|known| known.hash.clone())
        };
        if let Some(hash) = self.0.lock().ok().and_then(|hashes| known(&hashes)) {
            return Ok(hash);
        }
        let file = File::open(path).map_err(RunError::io(path))?;
        let hash = blake3::Hasher::new().update_reader(file).map_err(RunError::io(path))?.finalize();
        let hash = hash.to_hex().to_string();
        if let Ok(mut hashes) = self.0.lock() {
            hashes.insert(path.into(), KnownHash { version, hash: hash.clone() });
        }
        Ok(hash)
    }
}

fn version(path: &Path) -> Result<Version> {
    let found = std::fs::metadata(path).map_err(RunError::io(path))?;
    Ok(Version { bytes: found.len(), changed: found.modified().ok() })
}
