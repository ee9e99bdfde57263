//! The modality `text`: short texts as words or characters of a closed set, with networks for them.

mod characters;
mod classifier;
mod grams;
mod one_hot;
mod perceptrons;
mod query;
mod tokens;
mod words;

pub use characters::Characters;
pub use classifier::Classifier;
pub use perceptrons::{Autoencoder, Prompt};
pub use query::Query;
pub use tokens::TokenVectors;
pub use words::Words;

anyflow_sdk::export_plugin! {
    name: "text",
    license: "MIT OR Apache-2.0",
    summary: "short texts of a closed set of words or characters",
    codecs: [Words, Characters],
    modules: [
        Autoencoder: Encoder + Decoder,
        Classifier: Scorer + FeatureExtractor,
        Prompt: PromptEncoder,
        Query: Encoder,
        TokenVectors: PromptEncoder,
    ],
}
