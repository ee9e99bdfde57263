//! The names of parts of the model in the values of keys, found by the forms of the keys.

use anyflow_config::{PartKind, ValueForm};

use crate::source::{Spanned, SpannedString};
use crate::surface::fields::Fields;
use crate::yaml::{Content, Node};

/// A name of a part of the model.
#[derive(Debug)]
pub(crate) struct Reference {
    /// The key in whose value it stands.
    pub key: &'static str,
    pub part: PartKind,
    pub name: SpannedString,
}

impl Fields<'_> {
    /// The names in the values of all keys, in the order of the keys.
    pub fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        for key in self.keys() {
            if let Some(entry) = self.entry(key.name) {
                collect(key.name, &key.form, &entry.node, &mut found);
            }
        }
        found
    }
}

/// Values of another form were reported where they were read.
fn collect(key: &'static str, form: &ValueForm, node: &Node, found: &mut Vec<Reference>) {
    match (form, &node.content) {
        (ValueForm::Name(part), Content::String(text)) => {
            found.push(Reference { key, part: *part, name: Spanned::new(text.clone(), node.span) });
        }
        (ValueForm::NamesOf(part, of), Content::Mapping(entries)) => {
            for entry in entries {
                found.push(Reference { key, part: *part, name: entry.key.clone() });
                collect(key, of, &entry.node, found);
            }
        }
        (ValueForm::List(of) | ValueForm::OneOrMore(of), Content::List(items)) => {
            items.iter().for_each(|item| collect(key, of, item, found));
        }
        (ValueForm::OneOrMore(of), _) => collect(key, of, node, found),
        _ => {}
    }
}
