//! Autoencoders with published weights, which hold the names of the published files.

mod conv;
mod kl;
mod latent;
mod mask;
mod tiny;

pub use kl::Kl;
pub use mask::Mask;
pub use tiny::Tiny;

anyflow_sdk::export_plugin! {
    name: "vae",
    license: "MIT OR Apache-2.0",
    summary: "published autoencoders of images",
    codecs: [],
    modules: [Kl: Encoder + Decoder, Mask: Encoder, Tiny: Encoder + Decoder],
}
