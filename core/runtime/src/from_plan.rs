//! Values of a plan as types of the diffusion engine.

use anyflow_diffusion::{Branch, Guidance, Observed};
use anyflow_plan::plan::Given;
use indexmap::IndexMap;
use tch::Tensor;

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
