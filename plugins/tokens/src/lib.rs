//! Any text as token ids: the tokenizers of published text encoders, from the files that were published with them.

mod clip;
mod files;
mod gpt2;
mod tokenizer;
mod wordpiece;
mod words;

pub use clip::Clip;
pub use gpt2::Gpt2;
pub use wordpiece::WordPiece;

anyflow_sdk::export_plugin! {
    name: "tokens",
    license: "MIT OR Apache-2.0",
    summary: "any text as token ids of a published tokenizer",
    codecs: [Clip, Gpt2, WordPiece],
}

#[cfg(test)]
mod tests;
