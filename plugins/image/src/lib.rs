//! The modality `image`: grey and colour images, with networks for small ones.

mod classifier;
mod codec;
mod maps;
mod masked;
mod patches;
mod perceptrons;
mod pixels;

pub use classifier::Classifier;
pub use codec::{Gray, Rgb};
pub use maps::Maps;
pub use masked::Masked;
pub use patches::Patches;
pub use perceptrons::{Autoencoder, Prompt};

anyflow_sdk::export_plugin! {
    name: "image",
    license: "MIT OR Apache-2.0",
    summary: "grey and colour images",
    codecs: [Gray, Rgb, Masked],
    modules: [
        Autoencoder: Encoder + Decoder,
        Maps: Encoder + Decoder,
        Patches: Encoder + Decoder,
        Classifier: Scorer + FeatureExtractor + PerceptualEncoder,
        Prompt: PromptEncoder,
    ],
}
