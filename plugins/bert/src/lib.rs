//! Text encoders of the BERT family with published weights, which hold the names of the published files.

mod layer;
mod text;

pub use text::Text;

anyflow_sdk::export_plugin! {
    name: "bert",
    license: "MIT OR Apache-2.0",
    summary: "published text encoders of the BERT family",
    codecs: [],
    modules: [Text: PromptEncoder + PooledEncoder],
}
