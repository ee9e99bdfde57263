//! Values of a plan as types of the diffusion engine.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Result, RunError};

/// Reads a plan's `{kind, ...}` as a type of the engine.
///
/// # Errors
/// [`RunError::Internal`] if planner and engine disagree about the kinds.
pub fn typed<T: DeserializeOwned>(value: &Value) -> Result<T> {
    T::deserialize(value).map_err(|e| RunError::Internal(format!("{value} in a plan: {e}")))
}
