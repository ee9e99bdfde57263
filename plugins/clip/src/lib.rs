//! The encoders of CLIP with published weights, which hold the names of the published files.

mod image;
mod layers;
mod output;
mod text;

pub use image::Image;
pub use text::Text;

anyflow_sdk::export_plugin! {
    name: "clip",
    license: "MIT OR Apache-2.0",
    summary: "published encoders of CLIP: texts and images",
    codecs: [],
    modules: [Image: PromptEncoder + PooledEncoder, Text: PromptEncoder + PooledEncoder],
}

#[cfg(test)]
mod tests;
