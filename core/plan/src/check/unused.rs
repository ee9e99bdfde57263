//! Rule: declared things are used. Unused ones cause a warning and are left out of the plan.

use petgraph::Direction;
use petgraph::graph::NodeIndex;

use crate::error::Report;
use crate::graph::{Act, Graph, Vertex};
use crate::problem::Caution;

/// True for each vertex that reaches an output, by index.
pub(crate) fn live(graph: &Graph) -> Vec<bool> {
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

/// Warns about nodes and inputs that reach no output, and about generated streams that nothing reads.
pub(crate) fn check(graph: &Graph, live: &[bool], report: &mut Report) {
    for (index, vertex) in graph.vertices() {
        let (what, name) = match vertex {
            Vertex::Input(_) => ("input", graph.name(vertex)),
            Vertex::Node(_) => ("node", graph.name(vertex)),
            Vertex::Output(_) => continue,
        };
        if !live[index.index()] {
            let consequence = " by any output and is left out".into();
            report.warning(name.span, Caution::Unused { what: what.into(), name: name.value.clone(), consequence });
        } else {
            ports(graph, index, vertex, live, report);
        }
    }
}

fn ports(graph: &Graph, index: NodeIndex, vertex: Vertex, live: &[bool], report: &mut Report) {
    let Vertex::Node(node) = vertex else { return };
    let Some(Act::Diffuse(diffusion)) = &graph.acts[node] else { return };
    let read = read_ports(graph, index, live);
    for stream in diffusion.streams.outputs().filter(|stream| !read.contains(stream)) {
        let name = graph.name(vertex);
        let caution = Caution::Unused {
            what: "generated stream".into(),
            name: format!("{}.{stream}", name.value),
            consequence: " and is discarded".into(),
        };
        report.warning(name.span, caution);
    }
}

/// The ports of a node that a live vertex reads.
pub(crate) fn read_ports(graph: &Graph, index: NodeIndex, live: &[bool]) -> Vec<String> {
    use petgraph::visit::EdgeRef;
    let edges = graph.edges.edges_directed(index, Direction::Outgoing);
    edges.filter(|edge| live[edge.target().index()]).filter_map(|edge| edge.weight().port.clone()).collect()
}
