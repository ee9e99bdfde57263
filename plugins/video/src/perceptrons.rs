//! Perceptron modules over videos: prompt encoder.

use anyflow_sdk::descriptor::{Port, axis, axis_of, f32_port_in};
use anyflow_sdk::perceptron::{self, FlatArray};

/// Videos `[frame, channel, height, width]` between 0 and 1.
pub struct Video;

impl FlatArray for Video {
    const MODALITY: &'static str = "video";
    const NAME: &'static str = "video";
    const PORT: Port = f32_port_in(&[axis_of("frame", "frames"), axis("channel"), axis("height"), axis("width")], 0, 1);
}

/// The module `prompt`.
pub type Prompt = perceptron::Prompt<Video>;
