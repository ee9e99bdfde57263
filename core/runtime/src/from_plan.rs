//! Values of a plan as types of the diffusion engine.

use anyflow_diffusion::{Branch, Guidance, Observed};
use anyflow_plan::plan::Given;
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tch::Tensor;

use crate::{Result, RunError};

/// Reads a plan's `{kind, ...}` as a type of the engine.
///
/// # Errors
/// [`RunError::Internal`] if planner and engine disagree about the kinds.
pub fn typed<T: DeserializeOwned>(value: &Value) -> Result<T> {
    T::deserialize(value).map_err(|e| RunError::Internal(format!("{value} in a plan: {e}")))
}

/// Returns the guidance branches of a plan for these roles of the streams.
pub fn branches(guidance: Option<&Guidance>, states: &IndexMap<String, Observed>) -> Vec<Branch> {
    let Some(guidance) = guidance else { return Vec::new() };
    let conditions =
        names(states, |state| matches!(state, Observed::Clean(_) | Observed::Noised(_) | Observed::Prompt { .. }));
    let generated = names(states, Observed::is_generated);
    Branch::of(guidance, &conditions, &generated)
}

fn names(states: &IndexMap<String, Observed>, is_wanted: fn(&Observed) -> bool) -> Vec<&str> {
    states.iter().filter(|(_, state)| is_wanted(state)).map(|(name, _)| name.as_str()).collect()
}

/// The role of a stream that is observed as a whole.
pub fn observed(given: Given, latent: Tensor) -> Observed {
    match given {
        Given::Clean => Observed::Clean(latent),
        Given::Noised => Observed::Noised(latent),
    }
}
