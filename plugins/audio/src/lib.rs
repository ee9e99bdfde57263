//! The modality `audio`: recordings as log-mel maps or waveforms, with networks for the maps.

mod classifier;
mod log_mel;
mod mel;
mod perceptrons;
mod phase;
mod recording;
mod resample;
#[cfg(test)]
mod sounds;
mod spectrum;
mod waveform;

pub use classifier::Classifier;
pub use log_mel::LogMel;
pub use perceptrons::{Autoencoder, Prompt};
pub use waveform::Waveform;

anyflow_sdk::export_plugin! {
    name: "audio",
    license: "MIT OR Apache-2.0",
    summary: "short recordings as log-mel maps or waveforms",
    codecs: [LogMel, Waveform],
    modules: [Autoencoder: Encoder + Decoder, Classifier: Scorer + FeatureExtractor, Prompt: PromptEncoder],
}
