//! Reads `{kind: ..., ...}` by the table of kinds.

use serde_json::{Map, Value as Json};

use crate::error::Report;
use crate::problem::{Hint, Problem};
use crate::source::Span;
use crate::surface::form::{Form, Key, Need};
use crate::surface::kinds::{Family, Kind};
use crate::yaml::{Content, Entry, Node};

/// The default kind of a family with its defaults; an empty object if the family has no default kind.
pub(crate) fn defaults(family: Family) -> Json {
    family.default_kind().map_or_else(|| Json::Object(Map::new()), |kind| Json::Object(defaults_of(family, kind)))
}

/// A kind with all its defaults.
pub(crate) fn defaults_of(family: Family, kind: &Kind) -> Map<String, Json> {
    let mut object = Map::new();
    object.insert("kind".into(), Json::from(kind.name));
    object.extend(defaults_of_keys(&family.keys(kind)));
    object
}

/// The defaults of the keys that have one.
pub(crate) fn defaults_of_keys(keys: &[Key]) -> Map<String, Json> {
    let default = |key: &Key| match key.need {
        Need::Default(literal) => Some((key.name.to_string(), literal.json())),
        _ => None,
    };
    keys.iter().filter_map(default).collect()
}

/// Reads `{kind: ..., ...}`: refuses unknown keys and fills in defaults.
pub(crate) fn fill(family: Family, node: Option<&Node>, owner: Span, report: &mut Report) -> Option<Json> {
    let Some(node) = node else { return Some(defaults(family)) };
    let Content::Mapping(entries) = &node.content else {
        Form::Kind(family).wrong(node, &format!("the {}", family.name()), report);
        return None;
    };
    let kind = chosen(family, entries, owner, report)?;
    let keys = family.keys(kind);
    let mut object = defaults_of(family, kind);
    let mut good = true;
    for entry in entries.iter().filter(|entry| entry.key.value != "kind") {
        match read_entry(&keys, &format!("{} `{}`", family.name(), kind.name), entry, report) {
            Some(value) => {
                object.insert(entry.key.value.clone(), value);
            }
            None => good = false,
        }
    }
    for key in keys.iter().filter(|key| matches!(key.need, Need::Required)) {
        if !entries.iter().any(|entry| entry.key.value == key.name) {
            let within = format!("the {} `{}`", family.name(), kind.name);
            report.error(owner, Problem::MissingKey { key: key.name.into(), within });
            good = false;
        }
    }
    let good = good && ascends(family, kind, &object, node, report);
    good.then_some(Json::Object(object))
}

fn chosen(family: Family, entries: &[Entry], owner: Span, report: &mut Report) -> Option<&'static Kind> {
    let Some(entry) = entries.iter().find(|entry| entry.key.value == "kind") else {
        if family.default_kind().is_none() {
            report.error(owner, Problem::MissingKey { key: "kind".into(), within: format!("the {}", family.name()) });
        }
        return family.default_kind();
    };
    let Content::String(name) = &entry.node.content else {
        Form::String.wrong(&entry.node, &format!("`kind` of the {}", family.name()), report);
        return None;
    };
    let found = family.kinds().iter().find(|kind| kind.name == name);
    if found.is_none() {
        let hint = Hint::among(name, family.kinds().iter().map(|kind| kind.name));
        report.error(entry.node.span, Problem::UnknownName { what: family.name().into(), name: name.clone(), hint });
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

fn ascends(family: Family, kind: &Kind, object: &Map<String, Json>, node: &Node, report: &mut Report) -> bool {
    let number = |path: &str| {
        let mut keys = path.split('.');
        let first = keys.next().and_then(|key| object.get(key));
        let found = keys.fold(first, |value, key| value.and_then(|value| value.get(key)));
        found.and_then(Json::as_f64).unwrap_or(f64::NAN)
    };
    let mut good = true;
    for (small, large) in family.ascending(kind) {
        if number(small) > number(large) {
            let what = format!("`{large}` of {} `{}`", family.name(), kind.name);
            let bound = format!("at least `{small}` = {}", number(small));
            report.error(node.span, Problem::OutOfBounds { what, value: number(large).to_string(), bound });
            good = false;
        }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceId;
    use crate::yaml;

    fn filled(family: Family, text: &str) -> Json {
        let mut report = Report::default();
        let node = yaml::parse(text, SourceId(0), &mut report);
        let json = fill(family, node.as_ref(), Span::default(), &mut report);
        assert!(!report.failed(), "{text}: {report:?}");
        json.unwrap()
    }

    /// For every kind, defaults pass their own checks and are a fixed point.
    #[test]
    fn defaults_round_trip() {
        let has_defaults = |kind: &&Kind| !kind.keys.iter().any(|key| matches!(key.need, Need::Required));
        for family in Family::ALL {
            for kind in family.kinds().iter().filter(has_defaults) {
                let defaults = Json::Object(defaults_of(family, kind));
                assert_eq!(filled(family, &format!("{{kind: {}}}", kind.name)), defaults);
                assert_eq!(filled(family, &defaults.to_string()), defaults);
            }
        }
    }

    #[test]
    fn names_are_in_the_case_that_the_engine_deserializes() {
        for kind in Family::ALL.iter().flat_map(|family| family.kinds()) {
            assert!(kind.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            assert!(kind.keys.iter().all(|key| key.name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
        }
    }
}
