//! The tiny autoencoders as their authors publish them: two files without a configuration, `NAME_encoder` and `NAME_decoder`.
//! Their shapes say the rest.

use anyflow_weights::TensorEntry;
use serde_json::json;

use super::autoencoder_tiny::{TinyShape, sizes};
use super::error::{AdoptError, Result};
use super::folder::ModelFolder;
use super::model::AdoptedModel;

/// Names of published files; `taesd` also stands for the only one of them that a folder has.
const NAMES: [&str; 5] = ["taesd", "taesdxl", "taesd3", "taef1", "taef2"];
const ENDS: [&str; 2] = [".safetensors", ".pth"];

/// A pair of files.
struct Pair {
    name: String,
    encoder: String,
    decoder: String,
}

/// Adopts the pair of files that `like` names.
pub(super) fn adopt(folder: &ModelFolder, like: &str) -> Result<AdoptedModel> {
    if !NAMES.contains(&like) {
        return Err(AdoptError::UnknownFamily { like: like.into(), known: NAMES.join(", ") });
    }
    let Pair { name, encoder, decoder } = chosen(folder, like)?;
    let listing = folder.listing(&encoder)?;
    let shape = shape(&listing.tensors)
        .ok_or_else(|| wrong(folder, format!("{encoder} is not the encoder of a tiny autoencoder")))?;
    let part = |side: &str, file: &str| {
        (format!("streams.image.module.{side}"), json!({"from": format!("{}/{file}", folder.named), "part": ""}))
    };
    folder.listing(&decoder)?;
    Ok(AdoptedModel {
        comments: vec![format!("Adopted from {encoder} and {decoder}."), sizes()],
        name,
        checkpoint: vec![part("encoder", &encoder), part("decoder", &decoder)],
        streams: vec![("image".into(), shape.stream())],
        ..AdoptedModel::default()
    })
}

fn wrong(folder: &ModelFolder, text: String) -> AdoptError {
    AdoptError::Files { folder: folder.path.display().to_string(), text }
}

fn chosen(folder: &ModelFolder, like: &str) -> Result<Pair> {
    let files = folder.files()?;
    let find = |stem: String| ENDS.iter().map(|end| format!("{stem}{end}")).find(|name| files.contains(name));
    let pair = |name: &str| {
        let [encoder, decoder] = ["encoder", "decoder"].map(|side| find(format!("{name}_{side}")));
        Some(Pair { name: name.to_string(), encoder: encoder?, decoder: decoder? })
    };
    let mut pairs: Vec<Pair> = NAMES.iter().filter_map(|name| pair(name)).collect();
    if let Some(at) = pairs.iter().position(|pair| pair.name == like) {
        return Ok(pairs.swap_remove(at));
    }
    match (like == NAMES[0], pairs.len()) {
        (true, 1) => Ok(pairs.swap_remove(0)),
        (_, 0) => Err(wrong(folder, format!("it holds no {like}_encoder and {like}_decoder (.safetensors or .pth)"))),
        _ => {
            let names: Vec<String> = pairs.iter().map(|pair| format!("--like {}", pair.name)).collect();
            Err(wrong(
                folder,
                format!("it holds no `{like}`, but other tiny autoencoders; write {}", names.join(" or ")),
            ))
        }
    }
}

/// What the shapes of an encoder say: its last convolution makes the latent.
fn shape(tensors: &[TensorEntry]) -> Option<TinyShape> {
    let weight = |name: &str| tensors.iter().find(|entry| entry.name == name).map(|entry| entry.shape.as_slice());
    let [hidden, 3, 3, 3] = weight("0.weight")? else { return None };
    let [latent_channels, ..] = weight("14.weight")? else { return None };
    Some(TinyShape {
        latent_channels: i64::try_from(*latent_channels).ok()?,
        hidden: i64::try_from(*hidden).ok()?,
        mid_block_norm: tensors.iter().any(|entry| entry.name.contains(".pool.")),
    })
}
