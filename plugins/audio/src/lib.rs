//! The modality `audio`: recordings as log-mel maps or as waveforms, an autoencoder and a classifier for the maps.

mod autoencoder;
mod classifier;
mod log_mel;
mod mel;
mod phase;
mod prompt;
mod recording;
mod resample;
#[cfg(test)]
mod sounds;
mod spectrum;
mod waveform;

pub use autoencoder::Autoencoder;
pub use classifier::Classifier;
pub use log_mel::LogMel;
pub use prompt::Prompt;
pub use waveform::Waveform;

anyflow_sdk::export_plugin! {
    name: "audio",
    license: "MIT OR Apache-2.0",
    summary: "short recordings as log-mel maps or waveforms",
    codecs: [LogMel, Waveform],
    modules: [Autoencoder: Encoder + Decoder, Classifier: Scorer + FeatureExtractor, Prompt: PromptEncoder],
}
