//! Rule: no node waits for itself.

use petgraph::algo::tarjan_scc;
use petgraph::graph::NodeIndex;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Graph, Pipeline};
use crate::problem::{CodeEntry, problems};

problems! {
    /// Nodes that wait for each other.
    pub(crate) enum CycleProblem {
        /// Nodes read from each other in a circle, so none of them can run first.
        /// Example: `a` reads from `b`, and `b` reads from `a`.
        /// Cure: Remove one of the references.
        #[error("these nodes form a cycle: {}", .nodes.join(" -> "))]
        Cycle { nodes: Vec<String> },
    }
}

pub(super) struct Cycle;

impl Rule for Cycle {
    /// Names one cycle of every group of nodes that wait for each other.
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        let graph = &pipeline.graph;
        let mut groups = tarjan_scc(&graph.edges);
        groups.iter_mut().for_each(|group| group.sort());
        groups.sort();
        for group in groups {
            if let Some(path) = cycle(graph, &group) {
                say(graph, &path, report);
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        CycleProblem::codes()
    }
}

/// A path from the first node of a group back to it.
fn cycle(graph: &Graph, group: &[NodeIndex]) -> Option<Vec<NodeIndex>> {
    let start = *group.first()?;
    let mut path = vec![start];
    let mut visited = vec![start];
    loop {
        let here = *path.last()?;
        let mut next: Vec<NodeIndex> = graph.edges.neighbors(here).filter(|next| group.contains(next)).collect();
        next.sort();
        if next.contains(&start) {
            path.push(start);
            return Some(path);
        }
        match next.into_iter().find(|next| !visited.contains(next)) {
            Some(next) => {
                visited.push(next);
                path.push(next);
            }
            None => {
                path.pop()?;
            }
        }
    }
}

fn say(graph: &Graph, path: &[NodeIndex], report: &mut Report) {
    let nodes = path.iter().map(|index| graph.name(graph.edges[*index]).value.clone()).collect();
    let references = path.windows(2).filter_map(|pair| {
        let edge = graph.edges.edges_connecting(pair[0], pair[1]).next()?;
        Some(edge.weight().written.span)
    });
    let mut references = references.collect::<Vec<_>>().into_iter();
    let Some(first) = references.next() else { return };
    let links = references.map(|span| (span, "and here".to_string())).collect();
    report.linked(first, CycleProblem::Cycle { nodes }, links);
}
