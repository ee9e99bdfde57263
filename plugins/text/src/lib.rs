//! The modality `text`: short texts as words or characters of a closed set, or as bytes, with networks for them.

mod bytes;
mod characters;
mod classifier;
mod grams;
mod one_hot;
mod perceptrons;
mod query;
mod tokens;
mod words;

pub use bytes::Bytes;
pub use characters::Characters;
pub use classifier::Classifier;
pub use perceptrons::{Autoencoder, ByteAutoencoder, BytePrompt, Prompt};
pub use query::Query;
pub use tokens::TokenVectors;
pub use words::Words;

anyflow_sdk::export_plugin! {
    name: "text",
    license: "MIT OR Apache-2.0",
    summary: "short texts: any text as bytes, or words and characters of a closed set",
    codecs: [Words, Characters, Bytes],
    modules: [
        Autoencoder: Encoder + Decoder,
        ByteAutoencoder: Encoder + Decoder,
        BytePrompt: PromptEncoder,
        Classifier: Scorer + FeatureExtractor,
        Prompt: PromptEncoder,
        Query: Encoder,
        TokenVectors: PromptEncoder,
    ],
}
