//! Parts of a model whose weights are in files of their own.

use indexmap::IndexMap;

use crate::error::Report;
use crate::keymap::is_file;
use crate::plan::{Checkpoint, WeightsPart};
use crate::source::Source;
use crate::spec::{CheckpointSpec, ModelSpec, PartSpec, unknown};

/// The names in a checkpoint of parts of one sort: `streams.NAME`.
pub(crate) fn named<'n>(sort: &'n str, names: impl Iterator<Item = &'n str> + 'n) -> impl Iterator<Item = String> + 'n {
    names.map(move |name| format!("{sort}.{name}"))
}

/// Resolves `checkpoint` of a model; parts that the model does not have are reported.
pub(crate) fn checkpoint(spec: &ModelSpec, source: &Source, report: &mut Report) -> Option<Checkpoint> {
    match spec.checkpoint.as_ref()? {
        CheckpointSpec::File(path) => Some(Checkpoint::File(source.beside(&path.value))),
        CheckpointSpec::Parts(parts) => {
            let streams = named("streams", spec.streams.iter().map(|stream| stream.name.value.as_str()));
            let prompts = named("prompts", spec.prompts.iter().map(|prompt| prompt.name.value.as_str()));
            let denoisers = named("denoisers", spec.denoisers.iter().map(|denoiser| denoiser.name.value.as_str()));
            let scorers = named("scorers", spec.scorers.iter().map(|(name, _)| name.value.as_str()));
            let known: Vec<String> = streams.chain(prompts).chain(denoisers).chain(scorers).collect();
            check(parts, &known, report);
            files(parts, source).map(Checkpoint::Parts)
        }
    }
}

/// Reports parts that are not `known` or below one of them.
pub(crate) fn check(parts: &[PartSpec], known: &[String], report: &mut Report) {
    let is_within =
        |name: &str, part: &str| name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    for part in parts.iter().map(|spec| &spec.part) {
        if !known.iter().any(|known| is_within(&part.value, known)) {
            unknown("part of the model", part, known.iter().map(String::as_str), report);
        }
    }
}

/// The files of parts; `None` if one could not be read, which was reported.
pub(crate) fn files(parts: &[PartSpec], source: &Source) -> Option<IndexMap<String, WeightsPart>> {
    let file = |spec: &PartSpec| {
        let from = source.beside(&spec.from.as_ref()?.value);
        let map = spec.map.as_ref().map(|map| map_path(&map.value, source));
        let part = match (&spec.named, &map) {
            (Some(named), _) => named.value.clone(),
            (None, None) => spec.part.value.clone(),
            (None, Some(_)) => String::new(),
        };
        let name = if map.is_some() { holder(&spec.part.value) } else { spec.part.value.clone() };
        Some((name, WeightsPart { from, part, map }))
    };
    parts.iter().map(file).collect()
}

/// The part of the model that has weights: a stream and a prompt have theirs in their module.
fn holder(part: &str) -> String {
    match part.split('.').collect::<Vec<_>>()[..] {
        ["streams" | "prompts", _] => format!("{part}.module"),
        _ => part.to_string(),
    }
}

/// A key map that is a file is relative to the model's file; a built-in one has neither dots nor folders.
fn map_path(map: &str, source: &Source) -> String {
    if is_file(map) { source.beside(map) } else { map.to_string() }
}
