//! The modality `video`: short animations in grey or in colour, an autoencoder, a classifier and prompts of them.

mod animation;
mod autoencoder;
mod classifier;
mod frames;
mod mp4;
mod prompt;

pub use autoencoder::Autoencoder;
pub use classifier::Classifier;
pub use frames::{Gray, GrayList, Rgb, RgbList};
pub use prompt::Prompt;

anyflow_sdk::export_plugin! {
    name: "video",
    license: "MIT OR Apache-2.0",
    summary: "short animations in grey or in colour",
    codecs: [Gray, Rgb, GrayList, RgbList],
    modules: [
        Autoencoder: Encoder + Decoder,
        Classifier: Scorer + FeatureExtractor,
        Prompt: PromptEncoder,
    ],
}
