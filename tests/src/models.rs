//! Model files that several tests train.

/// A small joint diffusion of images and labels.
pub const IMAGE_LABEL_MODEL: &str = r#"
anyflow: 1
name: tiny
checkpoint: CHECKPOINT
streams:
  image: {codec: image/gray, module: {use: image/autoencoder, hidden: 32}, latent: [6]}
  label: {codec: {use: label/one-hot, classes: 10}, latent: [10]}
denoisers:
  joint: {over: [image, label], network: {kind: residual-mlp, width: 32, blocks: 2}, predict: x0}
"#;
