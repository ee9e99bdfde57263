//! The modality `trajectory`: drawings as strokes of a pen, with an autoencoder and a classifier.

mod classifier;
mod perceptrons;
mod resample;
mod strokes;

pub use classifier::Classifier;
pub use perceptrons::Autoencoder;
pub use strokes::Strokes;

anyflow_sdk::export_plugin! {
    name: "trajectory",
    license: "MIT OR Apache-2.0",
    summary: "drawings as strokes of a pen",
    codecs: [Strokes],
    modules: [Autoencoder: Encoder + Decoder, Classifier: Scorer + FeatureExtractor],
}
