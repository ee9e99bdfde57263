//! Feature sites of networks, by the names that the engine gives them.

use serde_json::Value as Json;

/// Site -> shape of its features for one row. Empty for networks without sites.
pub(super) fn sites(network: &Json, streams: &[Vec<i64>]) -> Vec<(String, Vec<i64>)> {
    let number = |key: &str| network[key].as_i64().unwrap_or(0);
    match network["kind"].as_str() {
        Some("residual-mlp") => blocks(number("blocks"), vec![number("width")]),
        // The engine decides the number of tokens; a head takes their mean.
        Some("transformer") => blocks(number("blocks"), vec![streams.len() as i64, number("width")]),
        Some("unet") => streams.first().map_or_else(Vec::new, |stream| levels(network, stream)),
        _ => Vec::new(),
    }
}

fn blocks(count: i64, shape: Vec<i64>) -> Vec<(String, Vec<i64>)> {
    let middle = (count > 0).then(|| "middle".to_string());
    let names = (0..count).map(|block| format!("block.{block}")).chain(middle).chain(["last".to_string()]);
    names.map(|name| (name, shape.clone())).collect()
}

/// The levels of a U-Net; each is half as large as the one above it.
fn levels(network: &Json, stream: &[i64]) -> Vec<(String, Vec<i64>)> {
    let [frames @ .., _, height, width] = stream else { return Vec::new() };
    let channels: Vec<i64> =
        network["block_out_channels"].as_array().into_iter().flatten().filter_map(Json::as_i64).collect();
    let halved = |mut side: i64, times: usize| {
        (0..times).for_each(|_| side = (side + 1) / 2);
        side
    };
    let at = |level: usize| {
        let map = [channels[level], halved(*height, level), halved(*width, level)];
        frames.iter().copied().chain(map).collect::<Vec<i64>>()
    };
    let Some(last) = channels.len().checked_sub(1) else { return Vec::new() };
    let down = (0..=last).map(|level| (format!("down.{level}"), at(level)));
    let up = (0..last).map(|index| (format!("up.{index}"), at(last - index)));
    down.chain([("middle".to_string(), at(last))]).chain(up).chain([("last".to_string(), at(0))]).collect()
}
