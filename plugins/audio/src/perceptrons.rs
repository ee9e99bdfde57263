//! Perceptron modules over log-mel maps: autoencoder and prompt encoder.

use anyflow_sdk::descriptor::{Port, axis, axis_of, f32_port_in};
use anyflow_sdk::perceptron::{self, FlatArray};

/// Log-mel maps `[channel, band, frame]` between 0 and 1.
pub struct LogMelMap;

impl FlatArray for LogMelMap {
    const MODALITY: &'static str = "audio";
    const NAME: &'static str = "log-mel map";
    const PORT: Port = f32_port_in(&[axis("channel"), axis_of("band", "bands"), axis_of("frame", "frames")], 0, 1);
}

/// The module `autoencoder`.
pub type Autoencoder = perceptron::Autoencoder<LogMelMap>;

/// The module `prompt`.
pub type Prompt = perceptron::Prompt<LogMelMap>;
