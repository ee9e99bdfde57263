//! The parameters that a stage trains.

use anyflow_plan::plan::{Stage, Trained};
use tch::Tensor;

use super::Trainee;
use crate::plugin::{Module, Parameter};
use crate::{Result, RunError};

/// Named tensors, sharing memory with the model.
pub type Named = Vec<(String, Tensor)>;

/// The state of the trained networks.
#[derive(Default)]
pub struct StateDict {
    /// Changed by the optimizer.
    pub trainable: Named,
    /// Changed by the networks themselves, for example running means.
    pub buffers: Named,
}

impl StateDict {
    /// Finds the parameters of a stage.
    ///
    /// # Errors
    /// Errors of plugins; a pattern of `weights` that matches no weight.
    pub fn of(stage: &Stage, trainee: &Trainee) -> Result<StateDict> {
        match &stage.train {
            Trained::Denoiser { name, .. } => {
                let all = trainee.session.denoisers[name].parameters();
                Ok(StateDict { trainable: chosen(stage, all)?, buffers: Vec::new() })
            }
            Trained::Modules { names, .. } => {
                let mut parameters = StateDict::default();
                for name in names {
                    let StateDict { trainable, buffers } = of_module(stage, &trainee.session.streams[name].module)?;
                    let prefixed = |(parameter, tensor)| (format!("{name}.{parameter}"), tensor);
                    parameters.trainable.extend(trainable.into_iter().map(prefixed));
                    parameters.buffers.extend(buffers.into_iter().map(prefixed));
                }
                Ok(parameters)
            }
            Trained::Stream { name, .. } => of_module(stage, &trainee.session.streams[name].module),
            Trained::Scorer { name, .. } => of_module(stage, &trainee.scorers[name].module),
            Trained::Nothing { .. } => Ok(StateDict::default()),
        }
    }
}

fn of_module(stage: &Stage, module: &Option<Module>) -> Result<StateDict> {
    let module = module
        .as_ref()
        .ok_or_else(|| RunError::Internal(format!("stage {} trains a component without a module", stage.name)))?;
    let (trainable, buffers): (Vec<_>, Vec<_>) = module.parameters()?.into_iter().partition(|p| p.trainable);
    let named = |list: Vec<Parameter>| list.into_iter().map(|p| (p.name, p.tensor)).collect();
    Ok(StateDict { trainable: named(trainable), buffers: named(buffers) })
}

/// Chooses the weights of a denoiser by the stage's patterns, and turns off the gradients of the others.
fn chosen(stage: &Stage, all: Named) -> Result<Named> {
    let patterns = stage.options.weights.as_deref().unwrap_or_default();
    if let Some(idle) = patterns.iter().find(|pattern| !all.iter().any(|(name, _)| matches(pattern, name))) {
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        return Err(RunError::Data(format!(
            "stage {}: no weight matches `{idle}`; the weights are {}",
            stage.name,
            names.join(", ")
        )));
    }
    let mut trainable = Vec::new();
    for (name, tensor) in all {
        let is_chosen = patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, &name));
        let tensor = tensor.f_set_requires_grad(is_chosen)?;
        if is_chosen {
            trainable.push((name, tensor));
        }
    }
    Ok(trainable)
}

/// True if a name matches a pattern, in which `*` matches any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_matches_any_characters() {
        for (pattern, name, wanted) in [
            ("parts.image.*", "parts.image.input.weight", true),
            ("parts.image.*", "parts.images.input.weight", false),
            ("*context*", "parts.image.blocks.0.context.to_q.weight", true),
            ("parts.*.context.*", "parts.image.blocks.0.context.to_q.weight", true),
            ("parts.*.context.*", "environment.image.input.weight", false),
            ("input.weight", "input.weight", true),
            ("input", "input.weight", false),
            ("*.weight", "input.weight", true),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} on {name}");
        }
    }
}
