//! Guidance as written, in a pipeline or an evaluation.

use anyflow_config::Guidance;

use crate::error::Report;
use crate::source::{Span, SpannedString};
use crate::surface::Fields;
use crate::yaml::{Content, Entry, Node};

/// Guidance, with the positions of the names in it.
#[derive(Debug)]
pub(crate) struct GuidanceSpec {
    /// The guidance.
    pub guidance: Guidance,
    /// Conditions with their own scale.
    pub conditions: Vec<SpannedString>,
    /// Position of `guidance`.
    pub span: Span,
}

/// Reads the key `guidance`, if it is written.
pub(crate) fn guidance(fields: &Fields, report: &mut Report) -> Option<GuidanceSpec> {
    let entry = fields.entry("guidance")?;
    let guidance = fields.typed("guidance", report)?;
    Some(GuidanceSpec { guidance, conditions: names(&entry.node, "scale"), span: entry.key.span })
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
