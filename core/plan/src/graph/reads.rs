//! Rule: a network that reads the features of another's names places that the other one has.

use serde_json::{Map, Value as Json};

use crate::error::Report;
use crate::problem::{Hint, Problem};
use crate::spec::{DenoiserSpec, unknown};

/// Looks at `reads` of a network with `parts`, if there is one.
pub(crate) fn check(network: &Json, spec: &DenoiserSpec, report: &mut Report) {
    let (Some(parts), Some(reads)) = (network["parts"].as_object(), network["reads"].as_object()) else { return };
    let owner = format!("denoiser `{}`", spec.name.value);
    for (reader, reading) in reads {
        let name = |value: &str| crate::source::SpannedString::new(value.to_string(), spec.name.span);
        let trunk = reading["stream"].as_str().unwrap_or_default();
        for stream in [reader.as_str(), trunk].into_iter().filter(|stream| !parts.contains_key(*stream)) {
            unknown("part", &name(stream), parts.keys().map(String::as_str), report);
        }
        if reads.contains_key(trunk) {
            let reason = format!("lets `{reader}` read of `{trunk}`, which reads itself");
            report.error(spec.name.span, Problem::Impossible { what: owner.clone(), reason });
        }
        if parts.get(reader).is_some_and(|part| part["kind"] == "unet-mlp") {
            let reason = format!("has a network for `{reader}` that reads nothing");
            report.error(spec.name.span, Problem::Impossible { what: owner.clone(), reason });
        }
        sites(trunk, parts, reading, spec, report);
    }
}

fn sites(trunk: &str, parts: &Map<String, Json>, reading: &Json, spec: &DenoiserSpec, report: &mut Report) {
    let Some(known) = parts.get(trunk).map(of) else { return };
    let wanted: Vec<&str> = reading["sites"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    if wanted.is_empty() {
        let what = format!("denoiser `{}`", spec.name.value);
        let reason = format!("reads no place of `{trunk}`; there are {}", known.join(", "));
        report.error(spec.name.span, Problem::Impossible { what, reason });
    }
    for site in wanted.into_iter().filter(|site| !known.iter().any(|known| known == site)) {
        let (owner, what) = (format!("the network of `{trunk}`"), "place".into());
        let hint = Hint::among(site, known.iter().map(String::as_str));
        report.error(spec.name.span, Problem::NotThere { owner, what, name: site.to_string(), hint });
    }
}

/// The places of a network.
fn of(network: &Json) -> Vec<String> {
    let blocks = |count: usize| (0..count).map(|block| format!("block.{block}"));
    let end = ["middle", "last"].map(str::to_string);
    match network["kind"].as_str() {
        Some("unet") => {
            let levels = network["block_out_channels"].as_array().map_or(0, Vec::len);
            let down = (0..levels).map(|level| format!("down.{level}"));
            let up = (0..levels.saturating_sub(1)).map(|level| format!("up.{level}"));
            down.chain(["middle".to_string()]).chain(up).chain(["last".to_string()]).collect()
        }
        Some("residual-mlp" | "transformer") => {
            blocks(network["blocks"].as_u64().unwrap_or(0) as usize).chain(end).collect()
        }
        _ => Vec::new(),
    }
}
