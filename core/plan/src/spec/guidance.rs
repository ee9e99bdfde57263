//! Guidance as written, in a pipeline or an evaluation.

use anyflow_config::Guidance;

use crate::error::Report;
use crate::source::{Span, SpannedString};
use crate::surface::{self, Fields};
use crate::yaml::{Content, Entry, Node};

/// Guidance, with the positions of the names in it.
#[derive(Debug)]
pub(crate) struct GuidanceSpec {
    /// The guidance.
    pub guidance: Guidance,
    /// Conditions with their own scale.
    pub conditions: Vec<SpannedString>,
    /// Condition -> what takes its place in the prediction without conditions.
    pub instead: Vec<InsteadSpec>,
    /// Position of `guidance`.
    pub span: Span,
}

/// A condition and what takes its place.
#[derive(Debug)]
pub(crate) struct InsteadSpec {
    pub condition: SpannedString,
    pub by: SpannedString,
}

/// Reads the key `guidance`, if it is written.
pub(crate) fn guidance(fields: &Fields, report: &mut Report) -> Option<GuidanceSpec> {
    let entry = fields.entry("guidance")?;
    let mut guidance = fields.value("guidance", report)?;
    if let Guidance::Cfg(cfg) = &mut guidance {
        // The role of the condition has it, by resolved names.
        cfg.instead = None;
    }
    let conditions = named(&entry.node, "scale").map(|entry| entry.key.clone()).collect();
    let instead = named(&entry.node, "instead").filter_map(|entry| {
        let by = surface::text(&entry.node, "`instead` of guidance", report)?;
        Some(InsteadSpec { condition: entry.key.clone(), by })
    });
    Some(GuidanceSpec { guidance, conditions, instead: instead.collect(), span: entry.key.span })
}

/// The entries of a mapping at a key.
fn named<'n>(node: &'n Node, key: &'n str) -> impl Iterator<Item = &'n Entry> {
    let entries = match &node.content {
        Content::Mapping(entries) => entries.as_slice(),
        _ => &[],
    };
    let at_key = entries.iter().filter(move |entry| entry.key.value == key);
    at_key.flat_map(|entry| match &entry.node.content {
        Content::Mapping(names) => names.as_slice(),
        _ => &[],
    })
}
