//! Parts that all printed plans share.

use std::fmt::Display;

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::plan::{Companion, Component, Form, Generated, Given, Model, Scoring, Table};
use crate::style::WIDEST_COLUMN;

/// Rows of words in columns, each two spaces apart, under a heading.
pub(crate) fn section(heading: &str, rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|word| word.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let padded =
            row.iter().zip(&widths).map(|(word, width)| format!("{word:<width$}", width = (*width).min(WIDEST_COLUMN)));
        format!("  {}", padded.collect::<Vec<_>>().join("  ")).trim_end().to_string()
    };
    format!("{heading}\n{}\n", rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// What a scoring tells.
pub(crate) fn told(scoring: &Scoring) -> String {
    let among = match scoring.classes.values().map(Vec::len).max() {
        None => "those of all rows".to_string(),
        Some(1) => format!("{} classes", scoring.classes.len()),
        Some(cells) => format!("{} classes of {cells} cells each", scoring.classes.len()),
    };
    format!("recovers {} x {} among {among}", scoring.stream, scoring.draws)
}

/// `kind (key value, ...)`.
pub(crate) fn kind(json: &Json) -> String {
    let Json::Object(object) = json else { return json.to_string() };
    let name = object.get("kind").and_then(Json::as_str).unwrap_or("?");
    let keys = object.iter().filter(|(key, _)| *key != "kind");
    let keys: Vec<String> = keys.map(|(key, value)| format!("{key} {}", plain(value))).collect();
    if keys.is_empty() { name.to_string() } else { format!("{name} ({})", keys.join(", ")) }
}

/// What is out of the ordinary in how given streams are used.
pub(crate) fn how(given: Given, guidance: Option<&Json>) -> Vec<String> {
    let noised = (given == Given::Noised).then(|| "given noised".to_string());
    noised.into_iter().chain(guidance.map(|guidance| format!("guidance {}", kind(guidance)))).collect()
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(word) => word.clone(),
        Json::Object(object) if object.contains_key("kind") => kind(value),
        Json::Object(object) => {
            format!("{{{}}}", list(object.iter().map(|(key, value)| format!("{key} {}", plain(value)))))
        }
        Json::Array(items) if items.len() > 4 => format!("{} items", items.len()),
        other => other.to_string(),
    }
}

/// `plugin/component (parameter value, ...)`.
pub(crate) fn component(component: &Component) -> String {
    let name = format!("{}/{}", component.plugin, component.id);
    let Json::Object(parameters) = &component.parameters else { return name };
    let parameters: Vec<String> = parameters.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect();
    if parameters.is_empty() { name } else { format!("{name} ({})", parameters.join(", ")) }
}

/// Names with commas.
pub(crate) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// The model: its streams and denoisers.
pub(crate) fn model(model: &Model) -> String {
    let weights = model.checkpoint.as_deref().unwrap_or("none");
    let mut out = format!("model {} ({}), weights {weights}\n\n", model.name, model.source);
    let mut streams = Vec::new();
    for (name, stream) in &model.streams {
        let shape = match &stream.array.form {
            Form::Array { shape, .. } => format!("{shape:?}"),
            _ => String::new(),
        };
        streams.push(vec![name.clone(), "codec".into(), component(&stream.codec)]);
        let module = stream.module.as_ref().map_or("none".into(), component);
        streams.push(vec![String::new(), "module".into(), module]);
        streams.push(vec![String::new(), "shapes".into(), format!("{shape} -> {:?}", stream.latent)]);
        if let Some(schedule) = &stream.schedule {
            streams.push(vec![String::new(), "schedule".into(), kind(schedule)]);
        }
    }
    out.push_str(&section("streams", streams));
    let prompts = model.prompts.iter().flat_map(|(name, prompt)| {
        let shapes = prompt.array.elements().map_or(String::new(), |(shape, _)| format!("{shape:?} -> "));
        let row = |name: &str, word: &str, what: String| vec![name.to_string(), word.into(), what];
        [
            row(name, "codec", component(&prompt.codec)),
            row("", "module", component(&prompt.module)),
            row("", "shapes", format!("{shapes}{:?}", prompt.tokens)),
        ]
    });
    if !model.prompts.is_empty() {
        out.push_str(&format!("\n{}", section("prompts", prompts.collect())));
    }
    let denoisers = model.denoisers.iter().map(|(name, denoiser)| {
        let precision = if denoiser.precision == "f32" { String::new() } else { format!(" in {}", denoiser.precision) };
        let mut what = format!("predicts {} over {}{precision}", denoiser.predict, list(&denoiser.over));
        for (stream, companion) in &denoiser.companions {
            what.push_str(&self::companion(stream, companion));
        }
        if !denoiser.prompts.is_empty() {
            what.push_str(&format!(", reads {}", list(&denoiser.prompts)));
        }
        vec![name.clone(), what, kind(&denoiser.network), kind(&denoiser.schedule)]
    });
    out + "\n" + &section("denoisers", denoisers.collect())
}

/// How a stream is tied to a denoiser that does not diffuse it.
fn companion(stream: &str, companion: &Companion) -> String {
    let word = |of: &Json, key: &str| of[key].as_str().map_or_else(|| of[key].to_string(), str::to_string);
    let added = companion.aggregate.as_ref().map(|aggregate| {
        format!(
            "{} x {stream} into {} ({})",
            word(aggregate, "weight"),
            word(aggregate, "into"),
            word(aggregate, "law")
        )
    });
    let read =
        companion.head.as_ref().map(|head| format!("{stream} at {} by {}", word(head, "reads"), word(head, "loss")));
    let added = added.map(|added| format!(", adds {added}")).unwrap_or_default();
    added + &read.map(|read| format!(", reads off {read}")).unwrap_or_default()
}

/// What a source is: its files, or what is generated.
pub(crate) fn source(name: &str, paths: &[String], generated: &IndexMap<String, Generated>) -> String {
    match generated.get(name) {
        Some(made) => {
            let combinations = made.combinations.as_ref().map(|which| format!(", combinations {which}"));
            let shapes = made.shapes.as_ref().map(|from| format!(", shapes of {from}"));
            let more = [combinations, shapes].into_iter().flatten().collect::<String>();
            format!("generated: {}, {} rows, seed {}{more}", made.generate, made.rows, made.seed)
        }
        None => list(paths),
    }
}

/// Where a table's columns come from.
pub(crate) fn table(table: &Table) -> String {
    let columns = table.columns.iter().map(|(stream, from)| format!("{stream} = {}.{}", from.source, from.column));
    let class = table.class.iter().map(|from| format!("class = {}.{}", from.source, from.column));
    let join = table.join.as_ref().map_or(String::new(), |join| format!("; joined on {join}"));
    format!("{}{join}", list(columns.chain(class)))
}

/// Bytes in the largest unit that leaves at least one.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}
