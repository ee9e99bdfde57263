//! Components, and the types of values.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::descriptor::CellKind;

/// The parameter of a component that names a file or folder. Only the engine reads it; the plugin gets the texts.
pub const FILES: &str = "files";

/// A codec or module with everything needed to create it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// Plugin name.
    pub plugin: String,
    /// Component inside the plugin.
    pub id: String,
    /// Library file.
    pub library: String,
    /// All parameters, including defaults and inferred sizes: a JSON object.
    pub parameters: Json,
}

/// Modality, dtype and shape of a value; the row axis is not listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Type {
    /// The modality, an opaque word.
    pub modality: String,
    /// Cells, array, latent, tokens, vector or scores.
    #[serde(flatten)]
    pub form: Form,
}

/// The forms of a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "kebab-case")]
pub enum Form {
    /// Raw cells of a column.
    Cells {
        /// Physical kind.
        cell: CellKind,
        /// Feature of the written column (see [`crate::descriptor::CodecDescriptor::feature`]).
        feature: String,
    },
    /// The array of a codec.
    Array {
        /// Element type.
        dtype: String,
        /// Axis names.
        axes: Vec<String>,
        /// Axis sizes.
        shape: Vec<i64>,
        /// Bounds, if any.
        range: Option<[f64; 2]>,
    },
    /// The latent of a stream, as its module makes it (not normalized).
    Latent {
        /// The stream.
        stream: String,
        /// Axis sizes.
        shape: Vec<i64>,
    },
    /// The tokens of a prompt's module.
    Tokens {
        /// The prompt.
        prompt: String,
        /// [tokens, features].
        shape: Vec<i64>,
    },
    /// The vector of a prompt: one for the whole, or its numbers.
    Vector {
        /// The prompt.
        prompt: String,
        /// `[features]`.
        shape: Vec<i64>,
    },
}

impl Type {
    /// The middle of the range of an array, which stands for a hidden part; 0 for an array without bounds.
    pub(crate) fn middle(&self) -> f64 {
        match self.form {
            Form::Array { range: Some([least, most]), .. } => (least + most) / 2.0,
            _ => 0.0,
        }
    }

    /// What the codec of cells declares of them; `None` for other values.
    pub fn feature(&self) -> Option<&str> {
        if let Form::Cells { feature, .. } = &self.form { Some(feature) } else { None }
    }
}
