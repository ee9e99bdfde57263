//! Errors and warnings: values with fields and positions.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::source::Place;

/// Whether there is a plan in spite of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Without a plan.
    Error,
    /// With a plan, which probably does not do what was intended.
    Warning,
}

/// An error or a warning: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    #[serde(skip)]
    pub severity: Severity,
    /// The code, which `anyflow explain CODE` explains.
    pub code: String,
    /// The parts of the message, by name.
    #[serde(flatten)]
    pub parts: Map<String, Json>,
    /// The whole sentence.
    pub message: String,
    /// Its position.
    pub place: Place,
    /// The other end, the first definition, and so on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Another position of a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Related {
    /// Its role.
    pub text: String,
    /// The position.
    pub place: Place,
}

/// One error.
pub type Error = Diagnostic;

/// Something allowed but probably not intended.
pub type Warning = Diagnostic;

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.place.file, self.place.line, self.place.column, self.message)
    }
}
