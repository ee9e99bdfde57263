//! Independent classifiers: `[row, array]` -> a class per row, and features by which rows are compared.

use std::path::Path;

use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::ScorerConfig;
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::{self, Tensors, Weights};
use crate::plugin::{LoadedPlugins, Module, ModuleOptions};
use crate::{Result, RunError, Session};

/// An instance of a scorer: it judges an evaluation, or a training trains it.
pub struct Judge {
    /// The stream that it judges.
    pub stream: String,
    /// Number of classes.
    pub classes: i64,
    /// The network. Without one, the array itself holds the scores.
    pub module: Option<Module>,
    /// Axes of the features, if the module has them.
    features: Option<Vec<i64>>,
    /// Axes of the perceptual features, if the module has them.
    perceptual: Option<Vec<i64>>,
}

impl Judge {
    /// Makes a scorer with fresh weights.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn new(scorer: &ScorerConfig, plugins: &mut LoadedPlugins, device: Device, seed: u64) -> Result<Self> {
        let options = ModuleOptions::drawn(device, seed);
        let module = scorer.module.as_ref().map(|module| Module::new(plugins, module, options)).transpose()?;
        Ok(Judge {
            stream: scorer.stream.clone(),
            classes: scorer.classes,
            module,
            features: scorer.features.clone(),
            perceptual: scorer.perceptual.clone(),
        })
    }

    /// Makes the scorers of nodes with their weights. The hashes of the files become those of the session.
    ///
    /// # Errors
    /// Errors of plugins; [`RunError::Checkpoint`] if a file does not fit.
    pub fn of_nodes(
        scorers: &IndexMap<String, ScorerConfig>,
        session: &mut Session,
    ) -> Result<IndexMap<String, Judge>> {
        let mut judges = IndexMap::new();
        for (node, scorer) in scorers {
            let judge = Judge::new(scorer, &mut session.plugins, session.device, 0)?;
            if let Some(path) = &scorer.checkpoint {
                let blake3 = judge.load_weights(&scorer.stream, Path::new(path))?;
                session.weights.insert(format!("scorer {node}"), blake3);
            }
            judges.insert(node.clone(), judge);
        }
        Ok(judges)
    }

    /// Loads the weights that a file holds for the judge `name`. Returns the hash of the file.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`], which names the judge: the file is missing or does not fit.
    pub fn load_weights(&self, name: &str, path: &Path) -> Result<String> {
        let unfit = |text: String| RunError::Checkpoint { path: path.display().to_string(), text };
        if !path.exists() {
            return Err(unfit(missing(name, path)));
        }
        self.load(name, path).map_err(|error| match error {
            RunError::Checkpoint { text, .. } => unfit(format!("weights of judge `{name}`: {text}")),
            other => other,
        })
    }

    fn load(&self, name: &str, path: &Path) -> Result<String> {
        let Weights { mut tensors, blake3, .. } = checkpoint::read(path)?;
        tensors.retain(|tensor, _| tensor.starts_with(&format!("scorers.{name}.")));
        checkpoint::copy_into(&self.tensors(name)?, &tensors, path)?;
        Ok(blake3)
    }

    /// The weights by their names in a checkpoint, sharing memory.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn tensors(&self, name: &str) -> Result<Tensors> {
        let parameters = self.module.as_ref().map(Module::parameters).transpose()?.unwrap_or_default();
        Ok(parameters.into_iter().map(|p| (format!("scorers.{name}.{}", p.name), p.tensor)).collect())
    }

    /// Scores `[row, class]`.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn score(&self, array: &Tensor, train: bool) -> Result<Tensor> {
        match &self.module {
            Some(module) => module.forward(Role::Score, array, &[self.classes], train),
            None => Ok(array.f_reshape([-1, self.classes])?),
        }
    }

    /// Features `[row, feature]` from which the scores are computed; `None` if the module has none.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn features(&self, array: &Tensor) -> Result<Option<Tensor>> {
        self.embed(Role::Features, self.features.as_deref(), array)
    }

    /// Perceptual features `[row, feature]`: the perceptual distance of two rows is the sum of their squared differences.
    /// `None` if the module has none.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn perceptual(&self, array: &Tensor) -> Result<Option<Tensor>> {
        self.embed(Role::Perceptual, self.perceptual.as_deref(), array)
    }

    fn embed(&self, role: Role, axes: Option<&[i64]>, array: &Tensor) -> Result<Option<Tensor>> {
        let (Some(module), Some(axes)) = (&self.module, axes) else { return Ok(None) };
        let _no_grad = tch::no_grad_guard();
        Ok(Some(module.forward(role, array, axes, false)?.f_flatten(1, -1)?))
    }

    /// The logarithm of the softmax of the scores, `[row, class]`, f32.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn log_probabilities(&self, array: &Tensor) -> Result<Tensor> {
        Ok(self.score(array, false)?.f_log_softmax(-1, Kind::Float)?)
    }

    /// The softmax of the scores, `[row, class]`.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn probabilities(&self, array: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        Ok(self.score(array, false)?.f_softmax(-1, Kind::Float)?)
    }

    /// The class of each row.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn classes_of(&self, array: &Tensor) -> Result<Vec<i64>> {
        let _no_grad = tch::no_grad_guard();
        let classes = self.score(array, false)?.f_argmax(-1, false)?.f_to_device(Device::Cpu)?;
        Vec::<i64>::try_from(classes).map_err(RunError::from)
    }
}

/// Says that the weights of a judge are missing, and which weights are in the folder instead.
fn missing(name: &str, path: &Path) -> String {
    let others = weights_in(path.parent().unwrap_or(Path::new(".")));
    if others.is_empty() {
        return format!(
            "weights of judge `{name}`: the file does not exist; train the judge first (`anyflow train`), or correct \
             `weights` of the judge"
        );
    }
    format!(
        "weights of judge `{name}`: the file does not exist, but its folder holds {}; correct `weights` of the judge",
        others.join(", ")
    )
}

/// The names of the weights files in a folder, sorted. A folder that cannot be read has none.
fn weights_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut weights: Vec<String> = names.filter(|name| name.ends_with(".safetensors")).collect();
    weights.sort();
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge() -> Judge {
        Judge { stream: "seen".into(), classes: 10, module: None, features: None, perceptual: None }
    }

    #[test]
    fn missing_weights_name_the_judge_and_the_files_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let text = judge().load_weights("seen", &path).unwrap_err().to_string();
        assert!(text.contains("judge `seen`") && text.contains("model.safetensors"), "{text}");
        assert!(text.contains("anyflow train"), "{text}");
        std::fs::write(folder.path().join("scorers.safetensors"), "").unwrap();
        std::fs::write(folder.path().join("train.json"), "").unwrap();
        let text = judge().load_weights("seen", &path).unwrap_err().to_string();
        assert!(text.contains("judge `seen`") && text.contains("holds scorers.safetensors;"), "{text}");
    }

    #[test]
    fn damaged_weights_name_the_judge() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scorers.safetensors");
        std::fs::write(&path, "no header").unwrap();
        let text = judge().load_weights("seen", &path).unwrap_err().to_string();
        assert!(text.contains("judge `seen`") && text.contains("scorers.safetensors"), "{text}");
    }
}
