//! A node read by itself, without the files that its pipeline uses.

use std::cell::Cell;

use super::{Action, Files, action, subgraph};
use crate::error::Report;
use crate::include;
use crate::yaml::Entry;

/// A node without its pipeline.
#[derive(Debug)]
pub(crate) struct LoneNode {
    /// `None` for a node that uses another pipeline, or that is wrong.
    pub action: Option<Action>,
    /// All references to inputs and other nodes.
    pub reads: Vec<String>,
}

impl LoneNode {
    /// Reads a node. Compiling its pipeline reports what is wrong with it.
    pub fn read(entry: &Entry) -> LoneNode {
        let mut report = Report::default();
        if include::entry(&entry.node, "use").is_some() {
            let wires = subgraph::opened(entry, &mut report).map(|(_, wires)| wires).unwrap_or_default();
            return LoneNode { action: None, reads: wires.into_iter().map(|(_, from)| from.value).collect() };
        }
        let mut action = action(entry, Files::new(&[], &Cell::new(0)), &mut report);
        let references = action.iter_mut().flat_map(Action::references);
        let reads = references.map(|reference| reference.value.clone()).collect();
        LoneNode { action, reads }
    }
}
