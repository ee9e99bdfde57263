//! Rule: the network of a denoiser can take its streams as input.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::error::Report;
use crate::graph::StreamNode;
use crate::problem::problems;
use crate::source::SpannedString;

problems! {
    /// What can be wrong with the streams of a network.
    pub(crate) enum ShapeProblem {
        /// A network cannot take the streams of its denoiser as input.
        /// Example: `network: {kind: unet}` over a stream with the latent [24].
        /// Cure: Use another kind of network, or change `latent` of the streams.
        #[error("network `{network}` needs {wanted}; {found}")]
        NetworkStreams { network: String, wanted: String, found: String },
    }
}

/// Refuses streams that one network cannot take as input together. Streams with errors of their own are skipped.
pub(super) fn check(
    network: &Json,
    over: &[SpannedString],
    streams: &IndexMap<String, StreamNode>,
    report: &mut Report,
) {
    let latent = |name: &SpannedString| Some(streams.get(&name.value)?.plan.as_ref()?.latent.as_slice());
    let known: Vec<_> = over.iter().filter_map(|name| Some((name, latent(name)?))).collect();
    let Some((first, first_shape)) = known.first() else { return };
    for (name, shape) in &known {
        let network_kind = network["kind"].as_str().unwrap_or_default();
        let Some(wanted) = wanted(network, shape, first_shape) else { continue };
        let mut found = format!("`{}` is {shape:?}", name.value);
        if name.value != first.value && network_kind == "unet" && shape != first_shape {
            found.push_str(&format!(", `{}` is {first_shape:?}", first.value));
        }
        report.error(name.span, ShapeProblem::NetworkStreams { network: network_kind.to_string(), wanted, found });
    }
}

/// The shapes that a network needs, in words; `None` if this shape is one of them.
fn wanted(network: &Json, shape: &[i64], first: &[i64]) -> Option<String> {
    let patch = network["patch"].as_i64().unwrap_or(1).max(1);
    match network["kind"].as_str() {
        Some("unet") if network["temporal"] == true && shape.len() != 4 => {
            Some("streams [frame, channel, height, width], since it is `temporal`".into())
        }
        Some("unet") if size(shape).is_none() || size(shape) != size(first) => {
            Some("streams of equal size, [channel, height, width] or [frame, channel, height, width]".into())
        }
        Some("transformer") if size(shape).is_some_and(|size| size.height % patch != 0 || size.width % patch != 0) => {
            Some(format!("a height and a width that `patch` = {patch} divides"))
        }
        Some("transformer") if shape.is_empty() || shape.len() > 4 => Some("streams with one to four axes".into()),
        _ => None,
    }
}

/// The sizes that streams of a U-Net must have in common.
#[derive(PartialEq)]
struct Size {
    frames: Option<i64>,
    height: i64,
    width: i64,
}

fn size(shape: &[i64]) -> Option<Size> {
    match *shape {
        [_, height, width] => Some(Size { frames: None, height, width }),
        [frames, _, height, width] => Some(Size { frames: Some(frames), height, width }),
        _ => None,
    }
}
