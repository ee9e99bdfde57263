//! Perceptron modules over one-hot tokens: autoencoder and prompt encoder.

use anyflow_sdk::descriptor::{Port, axis_of, f32_port};
use anyflow_sdk::perceptron::{self, FlatArray};

/// One-hot tokens `[token, word]`. The autoencoder decodes to logits over the words.
pub struct OneHotTokens;

impl FlatArray for OneHotTokens {
    const MODALITY: &'static str = "text";
    const NAME: &'static str = "one-hot tokens";
    const PORT: Port = f32_port(&[axis_of("token", "length"), axis_of("word", "words")]);
}

/// The module `autoencoder`.
pub type Autoencoder = perceptron::Autoencoder<OneHotTokens>;

/// The module `prompt`.
pub type Prompt = perceptron::Prompt<OneHotTokens>;
