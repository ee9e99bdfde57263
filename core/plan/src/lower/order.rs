//! The order of the nodes: each after its inputs, otherwise as in the file.

use petgraph::Direction;
use petgraph::graph::NodeIndex;

use crate::graph::{Graph, Vertex};

/// The live nodes in order; nodes in a cycle are left out.
pub(crate) fn ordered(graph: &Graph, live: &[bool]) -> Vec<NodeIndex> {
    let nodes = graph.vertices().filter(|(index, vertex)| matches!(vertex, Vertex::Node(_)) && live[index.index()]);
    let mut waiting: Vec<NodeIndex> = nodes.map(|(index, _)| index).collect();
    let mut order: Vec<NodeIndex> = Vec::with_capacity(waiting.len());
    let mut made: Vec<bool> = graph.vertices().map(|(_, vertex)| !matches!(vertex, Vertex::Node(_))).collect();
    let ready = |index: NodeIndex, made: &[bool]| {
        graph.edges.neighbors_directed(index, Direction::Incoming).all(|from| made[from.index()])
    };
    while let Some(position) = waiting.iter().position(|index| ready(*index, &made)) {
        let next = waiting.remove(position);
        made[next.index()] = true;
        order.push(next);
    }
    order
}
