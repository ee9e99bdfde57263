//! Perceptron modules over images: autoencoder and prompt encoder.

use anyflow_sdk::descriptor::{Port, axis, f32_port_in};
use anyflow_sdk::perceptron::{self, FlatArray};

/// Images `[channel, height, width]` between 0 and 1.
pub struct Image;

impl FlatArray for Image {
    const MODALITY: &'static str = "image";
    const NAME: &'static str = "image";
    const PORT: Port = f32_port_in(&[axis("channel"), axis("height"), axis("width")], 0, 1);
}

/// The module `autoencoder`.
pub type Autoencoder = perceptron::Autoencoder<Image>;

/// The module `prompt`.
pub type Prompt = perceptron::Prompt<Image>;
