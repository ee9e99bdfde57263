//! Reads `{kind: ..., ...}` by the table of kinds.

use anyflow_config::{Family, Key, Kind, ValueForm};
use serde_json::{Map, Value as Json};

use crate::error::Report;
use crate::problem::{Hint, Problem};
use crate::source::Span;
use crate::surface::Reader;
use crate::yaml::{Content, Entry, Node};

/// Reads `{kind: ..., ...}`: refuses unknown keys and fills in defaults.
pub(crate) fn fill(family: &'static Family, node: Option<&Node>, owner: Span, report: &mut Report) -> Option<Json> {
    let Some(node) = node else { return Some(family.default_value()) };
    let Content::Mapping(entries) = &node.content else {
        ValueForm::Kind(family).wrong(node, &format!("the {}", family.name), report);
        return None;
    };
    let kind = chosen(family, entries, owner, report)?;
    let keys = family.keys(kind);
    let mut object = family.defaults(kind);
    let mut good = true;
    for entry in entries.iter().filter(|entry| entry.key.value != "kind") {
        match read_entry(&keys, &format!("{} `{}`", family.name, kind.name), entry, report) {
            Some(value) => {
                object.insert(entry.key.value.clone(), value);
            }
            None => good = false,
        }
    }
    for key in keys.iter().filter(|key| key.is_required()) {
        if !entries.iter().any(|entry| entry.key.value == key.name) {
            let within = format!("the {} `{}`", family.name, kind.name);
            report.error(owner, Problem::MissingKey { key: key.name.into(), within });
            good = false;
        }
    }
    let good = good && ascends(family, kind, &object, node, report);
    good.then_some(Json::Object(object))
}

fn chosen(family: &'static Family, entries: &[Entry], owner: Span, report: &mut Report) -> Option<&'static Kind> {
    let Some(entry) = entries.iter().find(|entry| entry.key.value == "kind") else {
        if family.default_kind().is_none() {
            report.error(owner, Problem::MissingKey { key: "kind".into(), within: format!("the {}", family.name) });
        }
        return family.default_kind();
    };
    let Content::String(name) = &entry.node.content else {
        ValueForm::String.wrong(&entry.node, &format!("`kind` of the {}", family.name), report);
        return None;
    };
    let found = family.kind(name);
    if found.is_none() {
        let hint = Hint::among(name, family.kinds().map(|kind| kind.name));
        report.error(entry.node.span, Problem::UnknownName { what: family.name.into(), name: name.clone(), hint });
    }
    found
}

fn read_entry(keys: &[Key], within: &str, entry: &Entry, report: &mut Report) -> Option<Json> {
    let Some(key) = keys.iter().find(|key| key.name == entry.key.value) else {
        let hint = Hint::among(&entry.key.value, keys.iter().map(|key| key.name));
        let key = entry.key.value.clone();
        let within = within.to_string();
        report.error(entry.key.span, Problem::UnknownKey { key, within, hint });
        return None;
    };
    key.form.read(&entry.node, &format!("`{}` of {within}", key.name), report)
}

fn ascends(family: &Family, kind: &Kind, object: &Map<String, Json>, node: &Node, report: &mut Report) -> bool {
    let wrong = family.misordered(kind, object);
    for pair in &wrong {
        let what = format!("`{}` of {} `{}`", pair.large, family.name, kind.name);
        let bound = format!("at least `{}` = {}", pair.small, pair.low);
        report.error(node.span, Problem::OutOfBounds { what, value: pair.high.to_string(), bound });
    }
    wrong.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceId;
    use crate::surface::FAMILIES;
    use crate::yaml;

    fn filled(family: &'static Family, text: &str) -> Json {
        let mut report = Report::default();
        let node = yaml::parse(text, SourceId(0), &mut report);
        let json = fill(family, node.as_ref(), Span::default(), &mut report);
        assert!(!report.failed(), "{text}: {report:?}");
        json.unwrap()
    }

    /// For every kind, defaults pass their own checks and are a fixed point.
    #[test]
    fn defaults_round_trip() {
        let has_defaults = |kind: &&Kind| !kind.keys.iter().any(Key::is_required);
        for family in FAMILIES {
            for kind in family.kinds().filter(has_defaults) {
                let defaults = Json::Object(family.defaults(kind));
                assert_eq!(filled(family, &format!("{{kind: {}}}", kind.name)), defaults);
                assert_eq!(filled(family, &defaults.to_string()), defaults);
            }
        }
    }

    #[test]
    fn names_are_in_the_case_that_the_engine_deserializes() {
        for kind in FAMILIES.iter().flat_map(|family| family.kinds()) {
            assert!(kind.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            assert!(kind.keys.iter().all(|key| key.name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
        }
    }
}
