//! A pipeline with its names resolved and its types known.

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::catalog::Catalog;
use crate::error::Report;
use crate::graph::{Act, Graph, ModelGraph, Vertex, connect, of_inputs, resolve_node};
use crate::plan::{Diffusion, Type};
use crate::source::SpannedString;
use crate::spec::{Action, DiffuseSpec, PipelineSpec};

/// A pipeline with its names resolved.
pub(crate) struct Pipeline<'s> {
    pub graph: Graph<'s>,
    pub model: &'s ModelGraph<'s>,
    /// The types of the inputs by index; `None` if the type is unknown.
    pub inputs: Vec<Option<Type>>,
    /// True for each vertex that reaches an output, by index.
    pub live: Vec<bool>,
}

/// Resolves a pipeline; wrong parts are reported and left out.
pub(crate) fn resolve_pipeline<'s>(
    spec: &'s PipelineSpec,
    model: &'s ModelGraph<'s>,
    catalog: &Catalog,
    report: &mut Report,
) -> Pipeline<'s> {
    let acts = spec.nodes.iter().map(|node| resolve_node(node, &spec.nodes, model, catalog, report)).collect();
    let graph = connect(spec, acts, report);
    let inputs = of_inputs(&graph, model, catalog, report);
    let live = live(&graph);
    Pipeline { graph, model, inputs, live }
}

impl Pipeline<'_> {
    /// The diffusions that could be resolved, of nodes that generate or classify, with the names of their nodes.
    pub fn diffusions(&self) -> impl Iterator<Item = (&SpannedString, &DiffuseSpec, &Diffusion)> {
        self.graph.spec.nodes.iter().zip(&self.graph.acts).filter_map(|(node, act)| match (&node.action, act) {
            (Some(Action::Diffuse(spec)), Some(Act::Diffuse(diffusion)))
            | (Some(Action::Score(spec, _)), Some(Act::Score(diffusion, _))) => Some((&node.name, spec, diffusion)),
            _ => None,
        })
    }

    /// The ports of a node that a live vertex reads.
    pub fn read_ports(&self, index: NodeIndex) -> Vec<String> {
        let edges = self.graph.edges.edges_directed(index, Direction::Outgoing);
        edges.filter(|edge| self.live[edge.target().index()]).filter_map(|edge| edge.weight().port.clone()).collect()
    }
}

fn live(graph: &Graph) -> Vec<bool> {
    let mut live = vec![false; graph.edges.node_count()];
    let outputs = graph.vertices().filter(|(_, vertex)| matches!(vertex, Vertex::Output(_)));
    let mut open: Vec<NodeIndex> = outputs.map(|(index, _)| index).collect();
    while let Some(index) = open.pop() {
        if !std::mem::replace(&mut live[index.index()], true) {
            open.extend(graph.edges.neighbors_directed(index, Direction::Incoming));
        }
    }
    live
}
