//! Prompts: what conditions a denoiser.

use anyflow_config::AbsentPrompt;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::value::{Component, Type};

/// The port with the vector of a prompt.
pub(crate) const POOLED: &str = "pooled";

/// A prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PromptConfig {
    /// Cells that a module encodes.
    Encoded(Box<EncodedPrompt>),
    /// Prompts side by side.
    Joined(JoinedPrompt),
    /// Numbers as they are.
    Numbers(NumbersPrompt),
}

/// A prompt that a module encodes, to tokens, to one vector of the whole, or to both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EncodedPrompt {
    /// The modality, an opaque word.
    pub modality: String,
    /// Cells -> array.
    pub codec: Component,
    /// The codec's cells.
    pub cells: Type,
    /// The array between codec and module.
    pub array: Type,
    /// Array -> tokens (role `embed`) or vector (role `pool`).
    pub module: Component,
    /// [tokens, features]; `None` if the module makes a vector only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Vec<i64>>,
    /// The size of the vector, if it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<i64>,
    /// What stands for it in rows without a prompt; `None` for no tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<AbsentPrompt>,
}

/// A prompt whose tokens have the features of several prompts, one behind the other. All read the same cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinedPrompt {
    /// The modality, an opaque word.
    pub modality: String,
    /// The prompts side by side.
    pub features: Vec<String>,
    /// The cells of each of them.
    pub cells: Type,
    /// [tokens, features].
    pub tokens: Vec<i64>,
    /// What stands for it in rows without a prompt; `None` for no tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<AbsentPrompt>,
}

/// A prompt of numbers that no module encodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumbersPrompt {
    /// How many.
    pub numbers: i64,
    /// Cells with a list of them.
    pub cells: Type,
}

/// A scorer: the cosine of the vectors of two prompts, times a factor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairConfig {
    /// The prompts.
    pub between: [String; 2],
    /// The factor; `None` if it is a weight, by its natural logarithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
}

/// Vectors that join the embedding of the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinedVectors {
    /// By name, in order: `PROMPT.pooled`, or the name of a prompt that has nothing but its vector.
    pub from: IndexMap<String, JoinedVector>,
    /// Features of each number.
    pub waves: i64,
}

/// One of these vectors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JoinedVector {
    /// The prompt that it belongs to.
    pub prompt: String,
    /// Its size.
    pub size: i64,
    /// True for numbers, each of which becomes waves; guidance never drops them.
    pub is_numbers: bool,
}

impl JoinedVectors {
    /// True if one of them is that of this prompt.
    pub(crate) fn has(&self, prompt: &str) -> bool {
        self.from.values().any(|vector| vector.prompt == prompt)
    }
}

impl JoinedVector {
    /// The id of its value, made by a node for a prompt: this one, or one that it is a part of.
    pub(crate) fn value_of(&self, node: &str, prompt: &str) -> String {
        match (self.is_numbers, self.prompt == prompt) {
            (true, _) => node.to_string(),
            (false, true) => format!("{node}.{POOLED}"),
            (false, false) => format!("{node}.{}.{POOLED}", self.prompt),
        }
    }
}

impl PromptConfig {
    /// The prompt, if a module encodes it.
    pub fn encoded(&self) -> Option<&EncodedPrompt> {
        if let PromptConfig::Encoded(encoded) = self { Some(encoded) } else { None }
    }

    /// The prompt, if a module encodes it, to change it.
    pub fn encoded_mut(&mut self) -> Option<&mut EncodedPrompt> {
        if let PromptConfig::Encoded(encoded) = self { Some(encoded) } else { None }
    }

    /// True if cells of another prompt can be read as those of this one: both make the same arrays.
    pub(crate) fn has_arrays_of(&self, other: &PromptConfig) -> bool {
        match (self, other) {
            (PromptConfig::Encoded(own), PromptConfig::Encoded(other)) => own.array == other.array,
            (PromptConfig::Joined(own), PromptConfig::Joined(other)) => own.features == other.features,
            (PromptConfig::Numbers(own), PromptConfig::Numbers(other)) => own.numbers == other.numbers,
            _ => false,
        }
    }

    /// The cells that it reads.
    pub fn cells(&self) -> &Type {
        match self {
            PromptConfig::Encoded(encoded) => &encoded.cells,
            PromptConfig::Joined(joined) => &joined.cells,
            PromptConfig::Numbers(numbers) => &numbers.cells,
        }
    }

    /// The shape that a denoiser attends to: [tokens, features]. A vector alone is one token; numbers are none.
    pub fn tokens(&self) -> Option<Vec<i64>> {
        match self {
            PromptConfig::Encoded(encoded) => encoded.tokens.clone().or_else(|| Some(vec![1, encoded.vector?])),
            PromptConfig::Joined(joined) => Some(joined.tokens.clone()),
            PromptConfig::Numbers(_) => None,
        }
    }

    /// The size of its vector.
    pub fn vector(&self) -> Option<i64> {
        match self {
            PromptConfig::Encoded(encoded) => encoded.vector,
            PromptConfig::Joined(_) => None,
            PromptConfig::Numbers(numbers) => Some(numbers.numbers),
        }
    }

    /// What stands for it in rows without a prompt.
    pub fn absent(&self) -> Option<&AbsentPrompt> {
        match self {
            PromptConfig::Encoded(encoded) => encoded.absent.as_ref(),
            PromptConfig::Joined(joined) => joined.absent.as_ref(),
            PromptConfig::Numbers(_) => None,
        }
    }
}
