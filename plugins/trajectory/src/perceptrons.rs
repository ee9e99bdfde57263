//! Perceptron modules over drawings: autoencoder.

use anyflow_sdk::descriptor::{Port, axis, axis_of, f32_port};
use anyflow_sdk::perceptron::{self, FlatArray};

/// Drawings `[point, coordinate]`.
pub struct Drawing;

impl FlatArray for Drawing {
    const MODALITY: &'static str = "trajectory";
    const NAME: &'static str = "drawing";
    const PORT: Port = f32_port(&[axis_of("point", "points"), axis("coordinate")]);
}

/// The module `autoencoder`.
pub type Autoencoder = perceptron::Autoencoder<Drawing>;
