//! Guidance as written, in a pipeline or an evaluation.

use serde_json::Value as Json;

use crate::error::Report;
use crate::source::{Span, SpannedString};
use crate::surface::Fields;
use crate::yaml::{Content, Entry, Node};

/// Guidance, with the positions of the names in it.
#[derive(Debug)]
pub(crate) struct GuidanceSpec {
    /// `{kind, ...}` with all defaults.
    pub json: Json,
    /// Conditions with their own scale.
    pub conditions: Vec<SpannedString>,
    /// Position of `guidance`.
    pub span: Span,
}

/// Reads the key `guidance`, if it is written.
pub(crate) fn guidance(fields: &Fields, report: &mut Report) -> Option<GuidanceSpec> {
    let entry = fields.entry("guidance")?;
    let json = fields.json("guidance", report)?.value;
    Some(GuidanceSpec { json, conditions: names(&entry.node, "scale"), span: entry.key.span })
}

/// The names in a mapping of names.
fn names(node: &Node, key: &str) -> Vec<SpannedString> {
    let Content::Mapping(entries) = &node.content else { return Vec::new() };
    let named = entries.iter().filter(|entry| entry.key.value == key).filter_map(|entry| match &entry.node.content {
        Content::Mapping(names) => Some(names),
        _ => None,
    });
    named.flatten().map(|entry: &Entry| entry.key.clone()).collect()
}
