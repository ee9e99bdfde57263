//! Parameters of a component, as resolved by the planner.

use crate::Error;

/// The parameters of a component: all that its descriptor names, with defaults filled in and sizes inferred.
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

    /// Deserializes the parameters into the component's own struct.
    ///
    /// # Errors
    /// [`Error::Parameters`] if a parameter is missing or has another type; it names the parameter.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.0).map_err(|e| Error::Parameters(e.to_string()))
    }

    /// The value of an integer parameter.
    #[cfg(feature = "torch")]
    pub(crate) fn integer(&self, name: &str) -> Result<i64, Error> {
        let value = self.0.get(name).and_then(serde_json::Value::as_i64);
        value.ok_or_else(|| Error::Parameters(format!("`{name}` is missing or not an integer")))
    }
}
