//! Perceptron modules: an autoencoder and a prompt encoder over one-hot tokens, and over bytes.

use anyflow_sdk::descriptor::{Port, axis_of, f32_port};
use anyflow_sdk::perceptron::{self, FlatArray};

use crate::bytes;

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

/// The bits of bytes `[byte, bit]`.
pub struct ByteBits;

impl FlatArray for ByteBits {
    const MODALITY: &'static str = "text";
    const NAME: &'static str = "bits of bytes";
    const AUTOENCODER: &'static str = "byte-autoencoder";
    const PROMPT: &'static str = "byte-prompt";
    const PORT: Port = bytes::BITS;
}

/// The module `byte-autoencoder`.
pub type ByteAutoencoder = perceptron::Autoencoder<ByteBits>;

/// The module `byte-prompt`.
pub type BytePrompt = perceptron::Prompt<ByteBits>;
