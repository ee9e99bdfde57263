//! Rule: a network that attends to the features of another network names sites of that network.

use serde_json::{Map, Value as Json};

use crate::error::Report;
use crate::problem::{Hint, Problem, problems};
use crate::spec::{DenoiserSpec, unknown};

problems! {
    /// What can be wrong with networks that read each other.
    pub(crate) enum ReadsProblem {
        /// A network reads the features of a network that reads another one, or itself.
        /// Example: `reads: {x: {stream: y}, y: {stream: z}}`.
        /// Cure: Read a network that reads none.
        #[error("`{reader}` cannot read `{trunk}`, because `{trunk}` reads another stream")]
        ChainedReads { reader: String, trunk: String },
        /// A network of a kind that cannot attend to other networks has `reads`.
        /// Example: `reads` of a part of kind `unet-mlp`.
        /// Cure: Use another kind of network for this part.
        #[error("`parts.{reader}`: a `unet-mlp` cannot attend to another stream; use another network")]
        CannotRead { reader: String },
    }
}

/// Checks `reads` of a network with `parts`, if it has any.
pub(crate) fn check(network: &Json, spec: &DenoiserSpec, report: &mut Report) {
    let (Some(parts), Some(reads)) = (network["parts"].as_object(), network["reads"].as_object()) else { return };
    for (reader, reading) in reads {
        let name = |value: &str| crate::source::SpannedString::new(value.to_string(), spec.name.span);
        let trunk = reading["stream"].as_str().unwrap_or_default();
        for stream in [reader.as_str(), trunk].into_iter().filter(|stream| !parts.contains_key(*stream)) {
            unknown("part", &name(stream), parts.keys().map(String::as_str), report);
        }
        if reads.contains_key(trunk) {
            let problem = ReadsProblem::ChainedReads { reader: reader.clone(), trunk: trunk.to_string() };
            report.error(spec.name.span, problem);
        }
        if parts.get(reader).is_some_and(|part| part["kind"] == "unet-mlp") {
            report.error(spec.name.span, ReadsProblem::CannotRead { reader: reader.clone() });
        }
        sites(trunk, parts, reading, spec, report);
    }
}

fn sites(trunk: &str, parts: &Map<String, Json>, reading: &Json, spec: &DenoiserSpec, report: &mut Report) {
    let Some(known) = parts.get(trunk).map(of) else { return };
    let wanted: Vec<&str> = reading["sites"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    if wanted.is_empty() {
        let wanted = format!("at least one site of `{trunk}` ({})", known.join(", "));
        report.error(spec.name.span, Problem::WrongCount { what: "`sites`".into(), wanted, found: 0 });
    }
    for site in wanted.into_iter().filter(|site| !known.iter().any(|known| known == site)) {
        let owner = format!("the network of `{trunk}`");
        let what = "site".into();
        let hint = Hint::among(site, known.iter().map(String::as_str));
        report.error(spec.name.span, Problem::NotThere { owner, what, name: site.to_string(), hint });
    }
}

/// The sites of a network.
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
