//! The modality `image`: pictures in grey or in colour, an autoencoder and a classifier for small ones.

mod autoencoder;
mod classifier;
mod maps;
mod masked;
mod patches;
mod picture;
mod pixels;
mod prompt;

pub use autoencoder::Autoencoder;
pub use classifier::Classifier;
pub use maps::Maps;
pub use masked::Masked;
pub use patches::Patches;
pub use picture::{Gray, Rgb};
pub use prompt::Prompt;

anyflow_sdk::export_plugin! {
    name: "image",
    license: "MIT OR Apache-2.0",
    summary: "pictures in grey or in colour",
    codecs: [Gray, Rgb, Masked],
    modules: [
        Autoencoder: Encoder + Decoder,
        Maps: Encoder + Decoder,
        Patches: Encoder + Decoder,
        Classifier: Scorer + FeatureExtractor + PerceptualEncoder,
        Prompt: PromptEncoder,
    ],
}
