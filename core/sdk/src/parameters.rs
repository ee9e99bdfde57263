//! Parameters of a component, as the planner resolved them.

use crate::Error;

/// The parameters of a component: every one that its descriptor names, defaults filled, shapes inferred.
#[derive(Clone, Debug)]
pub struct Parameters(serde_json::Value);

impl Parameters {
    /// Parameters from a JSON object.
    pub fn new(value: serde_json::Value) -> Self {
        Parameters(value)
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(text).map(Parameters).map_err(|e| Error::Parameters(format!("not JSON: {e}")))
    }

    /// Into the component's own struct.
    ///
    /// # Errors
    /// [`Error::Parameters`] naming the parameter that is missing or of another type.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.0).map_err(|e| Error::Parameters(e.to_string()))
    }
}
