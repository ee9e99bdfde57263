//! The keys and kinds that a file uses.

use std::collections::BTreeSet;

use anyflow_config::{Family, Key, Mapping, ValueForm};

use crate::compile::FileKind;
use crate::error::{Errors, Report};
use crate::source::{Source, SourceId};
use crate::surface::{EVALUATION, MODEL, PIPELINE, TRAINING};
use crate::yaml::{self, Content, Entry, Node};

/// The keys and kinds that a file uses, named as in the reference.
///
/// # Errors
/// Invalid YAML.
pub fn used_keys(source: &Source) -> Result<BTreeSet<String>, Errors> {
    let mut report = Report::default();
    let root = yaml::parse(&source.text, SourceId(0), &mut report);
    let used = root.map(|root| {
        let mut used = BTreeSet::new();
        let mapping = match FileKind::of(&root) {
            Some(FileKind::Pipeline) => Some(&PIPELINE),
            Some(FileKind::Model) => Some(&MODEL),
            Some(FileKind::Training) => Some(&TRAINING),
            Some(FileKind::Evaluation) => Some(&EVALUATION),
            None => None,
        };
        if let Some(mapping) = mapping {
            of_keys(mapping.name, mapping.keys, entries(&root), &mut used);
        }
        used
    });
    report.finish(used, &[source], 1).map(|(used, _)| used)
}

fn entries(node: &Node) -> &[Entry] {
    match &node.content {
        Content::Mapping(entries) => entries,
        _ => &[],
    }
}

fn of_keys(section: &str, keys: &[Key], entries: &[Entry], used: &mut BTreeSet<String>) {
    for entry in entries {
        if let Some(key) = keys.iter().find(|key| key.name == entry.key.value) {
            used.insert(format!("{section}.{}", key.name));
            of_form(&key.form, &entry.node, used);
        }
    }
}

fn of_mapping(mapping: &Mapping, node: &Node, used: &mut BTreeSet<String>) {
    of_keys(mapping.name, mapping.keys, entries(node), used);
}

/// The keys of the thing that the first key names are in a section of their own.
fn of_described(mapping: &Mapping, node: &Node, used: &mut BTreeSet<String>) {
    of_mapping(mapping, node, used);
    let named = entries(node).iter().find(|entry| entry.key.value == mapping.keys[0].name);
    let Some(Content::String(name)) = named.map(|entry| &entry.node.content) else { return };
    let section = format!("{}.{name}", mapping.name);
    let is_own = |entry: &&Entry| !mapping.keys.iter().any(|key| key.name == entry.key.value);
    used.extend(entries(node).iter().filter(is_own).map(|entry| format!("{section}.{}", entry.key.value)));
    used.insert(section);
}

fn of_form(form: &ValueForm, node: &Node, used: &mut BTreeSet<String>) {
    match (form, &node.content) {
        (ValueForm::Kind(family), _) => of_kind(family, node, used),
        (ValueForm::List(of) | ValueForm::OneOrMore(of), Content::List(items)) => {
            items.iter().for_each(|item| of_form(of, item, used));
        }
        (ValueForm::OneOrMore(of), _) => of_form(of, node, used),
        (ValueForm::Or(_, of), Content::Mapping(_)) | (ValueForm::Or(of, _), _) => of_form(of, node, used),
        (ValueForm::Names(of) | ValueForm::NamesOf(_, of), _) => {
            entries(node).iter().for_each(|entry| of_form(of, &entry.node, used));
        }
        (ValueForm::Mapping(mapping), _) => of_mapping(mapping, node, used),
        (ValueForm::Described(mapping), _) => of_described(mapping, node, used),
        (ValueForm::OneOf(mappings), _) => {
            let has = |mapping: &&&Mapping| entries(node).iter().any(|entry| entry.key.value == mapping.keys[0].name);
            if let Some(mapping) = mappings.iter().find(has) {
                of_mapping(mapping, node, used);
            }
        }
        (ValueForm::Either(forms), _) => forms.iter().for_each(|form| of_form(form, node, used)),
        _ => {}
    }
}

fn of_kind(family: &Family, node: &Node, used: &mut BTreeSet<String>) {
    let written = entries(node).iter().find(|entry| entry.key.value == "kind").map(|entry| entry.node.json());
    let name = written.as_ref().and_then(|name| name.as_str());
    let kind = match name {
        Some(name) => family.kind(name),
        None => family.default_kind(),
    };
    let Some(kind) = kind else { return };
    let section = format!("{}.{}", family.path, kind.name);
    of_keys(family.path, family.shared, entries(node), used);
    of_keys(&section, kind.keys, entries(node), used);
    used.insert(section);
}
