//! The modality `video`: short grey or colour animations, with an autoencoder, a classifier and a prompt encoder.

mod animation;
mod autoencoder;
mod classifier;
mod excerpt;
mod frames;
mod mp4;
mod perceptrons;
mod shape;

pub use autoencoder::Autoencoder;
pub use classifier::Classifier;
pub use frames::{Gray, GrayList, Rgb, RgbList};
pub use perceptrons::Prompt;

anyflow_sdk::export_plugin! {
    name: "video",
    license: "MIT OR Apache-2.0",
    summary: "short animations in grey or colour",
    codecs: [Gray, Rgb, GrayList, RgbList],
    modules: [
        Autoencoder: Encoder + Decoder,
        Classifier: Scorer + FeatureExtractor,
        Prompt: PromptEncoder,
    ],
}
