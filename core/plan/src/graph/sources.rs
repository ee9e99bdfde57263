//! The sources that are generated: their generators, with the keys that each has of its own.

use indexmap::IndexMap;
use serde_json::Map;

use crate::catalog::Catalog;
use crate::error::Report;
use crate::plan::Generated;
use crate::property;
use crate::source::SpannedString;
use crate::spec::{GeneratedSpec, SourceSpec, unknown};
use crate::surface::GENERATED;

/// Resolves the sources that are generated; wrong ones are reported and left out.
pub(crate) fn resolve_generated(
    specs: &[SourceSpec],
    catalog: &Catalog,
    report: &mut Report,
) -> IndexMap<String, Generated> {
    let mut resolved = IndexMap::new();
    for spec in specs {
        let written = spec.generated.as_ref();
        if let Some(generated) = written.and_then(|written| generated(&spec.name, written, specs, catalog, report)) {
            resolved.insert(spec.name.value.clone(), generated);
        }
    }
    resolved
}

fn generated(
    name: &SpannedString,
    spec: &GeneratedSpec,
    specs: &[SourceSpec],
    catalog: &Catalog,
    report: &mut Report,
) -> Option<Generated> {
    let generate = spec.generate.as_ref()?;
    let Some(generator) = catalog.generators.get(&generate.value) else {
        unknown("generator", generate, catalog.generators.keys().map(String::as_str), report);
        return None;
    };
    let owner = property::Owner {
        label: format!("source `{}`", name.value),
        own: &generator.parameters,
        others: GENERATED.keys.iter().map(|key| key.name).collect(),
    };
    let mut parameters = Map::new();
    let mut sources = IndexMap::new();
    for entry in &spec.parameters {
        let Some(value) = owner.read(entry, report) else { continue };
        let key = entry.key.value.clone();
        match value.as_str().filter(|_| property::is_source(&generator.parameters[&key])) {
            Some(source) => {
                files(&SpannedString::new(source.into(), entry.node.span), specs, report);
                sources.insert(key, source.to_string());
            }
            None => drop(parameters.insert(key, value)),
        }
    }
    Some(Generated { generate: generate.value.clone(), rows: spec.rows?, seed: spec.seed?, parameters, sources })
}

/// Refuses a source that is not made of files.
fn files(name: &SpannedString, specs: &[SourceSpec], report: &mut Report) {
    let known = || specs.iter().filter(|spec| !spec.paths.is_empty()).map(|spec| spec.name.value.as_str());
    if !known().any(|known| known == name.value) {
        unknown("source of files", name, known(), report);
    }
}
