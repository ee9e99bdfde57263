//! The modality `trajectory`: drawings as strokes of a pen, an autoencoder and a classifier for them.

mod autoencoder;
mod classifier;
mod resample;
mod strokes;

pub use autoencoder::Autoencoder;
pub use classifier::Classifier;
pub use strokes::Strokes;

anyflow_sdk::export_plugin! {
    name: "trajectory",
    license: "MIT OR Apache-2.0",
    summary: "drawings as strokes of a pen",
    codecs: [Strokes],
    modules: [Autoencoder: Encoder + Decoder, Classifier: Scorer + FeatureExtractor],
}
