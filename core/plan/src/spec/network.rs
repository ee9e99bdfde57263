//! Rule: the sizes of a network fit together.

use serde_json::Value as Json;

use crate::error::Report;
use crate::problem::Problem;
use crate::surface::Fields;

/// True if the sizes of a denoiser's network fit together, as the engine requires.
pub(super) fn sizes_fit(fields: &Fields, network: &Json, report: &mut Report) -> bool {
    let Some(entry) = fields.entry("network") else { return true };
    let mut misfits = Vec::new();
    match network.get("kind").and_then(Json::as_str) {
        Some("unet") => unet(network, &mut misfits),
        Some("transformer") => {
            divides(network, "num_attention_heads", "width", &mut misfits);
            if let Some(width) = size(network, "width").filter(|width| width % 2 != 0) {
                misfits.push(Misfit { key: "width", value: width.to_string(), bound: "even".to_string() });
            }
        }
        Some("residual-mlp") => divides(network, "num_attention_heads", "width", &mut misfits),
        _ => divides(network, "groups", "width", &mut misfits),
    }
    for Misfit { key, value, bound } in &misfits {
        let what = format!("`{key}` of the network");
        let problem = Problem::OutOfBounds { what, value: value.clone(), bound: bound.clone() };
        report.error(entry.node.span, problem);
    }
    misfits.is_empty()
}

struct Misfit {
    key: &'static str,
    value: String,
    bound: String,
}

fn size(network: &Json, key: &str) -> Option<i64> {
    network.get(key).and_then(Json::as_i64)
}

fn divides(network: &Json, part: &'static str, whole: &str, misfits: &mut Vec<Misfit>) {
    let (Some(parts), Some(sum)) = (size(network, part), size(network, whole)) else { return };
    if sum % parts.max(1) != 0 {
        misfits.push(Misfit { key: part, value: parts.to_string(), bound: format!("a divisor of `{whole}` = {sum}") });
    }
}

fn unet(network: &Json, misfits: &mut Vec<Misfit>) {
    let list = |key: &str| network.get(key).and_then(Json::as_array).cloned().unwrap_or_default();
    let numbers = |key: &str| list(key).iter().filter_map(Json::as_i64).collect::<Vec<_>>();
    let channels = numbers("block_out_channels");
    let heads = numbers("num_attention_heads");
    let attention = list("attention");
    if channels.first().is_none_or(|first| first % 2 != 0) {
        let bound = "a list with a number per level, the first one even".to_string();
        misfits.push(Misfit { key: "block_out_channels", value: format!("{channels:?}"), bound });
        return;
    }
    for (key, count) in [("attention", attention.len()), ("num_attention_heads", heads.len())] {
        if ![1, channels.len()].contains(&count) {
            let bound = format!("one value for all {} levels, or one per level", channels.len());
            misfits.push(Misfit { key, value: format!("{count} values"), bound });
        }
    }
    let groups = size(network, "norm_num_groups").unwrap_or(1);
    if let Some(level) = channels.iter().find(|channels| *channels % groups.max(1) != 0) {
        let bound = format!("a divisor of the channels of every level, including {level}");
        misfits.push(Misfit { key: "norm_num_groups", value: groups.to_string(), bound });
    }
    let last = channels.len() - 1;
    for (level, channels) in channels.iter().enumerate() {
        let at = |count: usize| if count == 1 { 0 } else { level };
        let attends = level == last
            || network.get("temporal").and_then(Json::as_bool) == Some(true)
            || attention.get(at(attention.len())).and_then(Json::as_bool) == Some(true);
        if let Some(heads) = heads.get(at(heads.len())).filter(|heads| attends && channels % **heads != 0) {
            let bound = format!("a divisor of the channels of every level with attention, including {channels}");
            misfits.push(Misfit { key: "num_attention_heads", value: heads.to_string(), bound });
            break;
        }
    }
}
