//! The pipeline as a graph of inputs, nodes and outputs, connected by ports.

use petgraph::graph::{DiGraph, NodeIndex};

use crate::error::Report;
use crate::graph::{Act, PORTS};
use crate::plan::{POOLED, StreamRole};
use crate::problem::{Hint, problems};
use crate::source::SpannedString;
use crate::spec::{Action, NodeSpec, ObservedSpec, PipelineSpec, unknown};

problems! {
    /// What can be wrong with a reference to a node.
    pub(crate) enum PortProblem {
        /// A reference `node.port` names a port that the node does not have.
        /// Example: `from: joint.lfet`, where `joint` generates `left` and `right`.
        /// Cure: Name a port of the node: a stream that it generates, `label`, `scores` or `score` of `score`, or `pooled` of
        /// `embed` with a prompt that has a vector.
        #[error("`{node}` has no port `{port}`{hint}")]
        UnknownPort { node: String, port: String, hint: Hint },
        /// A node has several ports, and the reference names none.
        /// Example: `from: joint`, where `joint` generates two streams.
        /// Cure: Write `node.port`, as the message shows.
        #[error("`{node}` has named ports; write {choices}")]
        PortWanted { node: String, choices: String },
        /// A reference `node.port` names a stream of the diffusion that the node does not generate.
        /// Example: `from: joint.text` where `joint` marginalizes `text`.
        /// Cure: List the stream in `diffuse`, or use the node that the stream is observed from.
        #[error("`{node}.{port}` is {role}, not generated; {remedy}")]
        NotGenerated { node: String, port: String, role: &'static str, remedy: String },
    }
}

/// A vertex: the index of an input, node or output in the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vertex {
    Input(usize),
    Node(usize),
    Output(usize),
}

/// An edge.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The reference as written.
    pub written: SpannedString,
    /// The port it leaves (a stream), if the node has several.
    pub port: Option<String>,
    /// The end at which it arrives.
    pub slot: Slot,
}

/// The end of an edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// `from` of a node.
    From,
    /// A stream that a diffusion observes.
    Observe(String),
    /// The mask of a stream that a diffusion observes in part.
    Mask(String),
    /// The initial values of a stream that a diffusion generates.
    Start(String),
    /// A stream whose latent is concatenated to the channels of a diffusion.
    Plane(String),
    /// The mask of what encoding hides.
    Hide,
    /// A prompt of a diffusion.
    Condition,
    /// What `from` is compared with.
    Against,
    /// An output.
    Output,
}

/// The pipeline's graph.
pub(crate) struct Graph<'s> {
    pub spec: &'s PipelineSpec,
    /// The action of each node; `None` if it is wrong.
    pub acts: Vec<Option<Act>>,
    pub edges: DiGraph<Vertex, Link>,
}

impl Graph<'_> {
    /// The name that a vertex has in the file.
    pub fn name(&self, vertex: Vertex) -> &SpannedString {
        match vertex {
            Vertex::Input(index) => &self.spec.inputs[index].name,
            Vertex::Node(index) => &self.spec.nodes[index].name,
            Vertex::Output(index) => &self.spec.outputs[index].column,
        }
    }

    /// All vertices in the order of the file.
    pub fn vertices(&self) -> impl Iterator<Item = (NodeIndex, Vertex)> + '_ {
        self.edges.node_indices().map(|index| (index, self.edges[index]))
    }
}

/// Resolves all references; wrong ones are reported and left out.
pub(crate) fn connect<'s>(spec: &'s PipelineSpec, acts: Vec<Option<Act>>, report: &mut Report) -> Graph<'s> {
    let mut edges = DiGraph::new();
    for index in 0..spec.inputs.len() {
        edges.add_node(Vertex::Input(index));
    }
    for index in 0..spec.nodes.len() {
        edges.add_node(Vertex::Node(index));
    }
    for index in 0..spec.outputs.len() {
        edges.add_node(Vertex::Output(index));
    }
    let mut graph = Graph { spec, acts, edges };
    for (index, node) in spec.nodes.iter().enumerate() {
        for (slot, written) in slots(node) {
            graph.link(Vertex::Node(index), slot, written, report);
        }
    }
    for (index, output) in spec.outputs.iter().enumerate() {
        graph.link(Vertex::Output(index), Slot::Output, &output.from, report);
    }
    graph
}

/// The references of a node.
fn slots(node: &NodeSpec) -> Vec<(Slot, &SpannedString)> {
    match &node.action {
        Some(Action::Code(code)) => {
            let hide = code.hide.iter().map(|mask| (Slot::Hide, mask));
            code.from.iter().map(|from| (Slot::From, from)).chain(hide).collect()
        }
        Some(Action::Diffuse(spec) | Action::Score(spec, _)) => {
            let observed = spec.roles.observe.iter().flat_map(|ObservedSpec { stream, from, mask }| {
                let mask = mask.as_ref().map(|mask| (Slot::Mask(stream.value.clone()), mask));
                std::iter::once((Slot::Observe(stream.value.clone()), from)).chain(mask)
            });
            let starts = spec.roles.start.iter().map(|(stream, from)| (Slot::Start(stream.value.clone()), from));
            let planes = spec.roles.planes.iter();
            let planes = planes.map(|plane| (Slot::Plane(plane.stream.value.clone()), &plane.from));
            let conditions = spec.roles.condition.iter().map(|(tokens, _)| (Slot::Condition, tokens));
            let instead = spec.roles.guidance.iter().flat_map(|guidance| &guidance.instead);
            let instead = instead.map(|spec| (Slot::Condition, &spec.by));
            observed.chain(starts).chain(planes).chain(conditions).chain(instead).collect()
        }
        Some(Action::Judge(spec)) => spec.from.iter().map(|from| (Slot::From, from)).collect(),
        Some(Action::Compare(spec)) => {
            let from = spec.from.iter().map(|from| (Slot::From, from));
            from.chain(spec.against.iter().map(|against| (Slot::Against, against))).collect()
        }
        None => Vec::new(),
    }
}

impl Graph<'_> {
    fn link(&mut self, to: Vertex, slot: Slot, written: &SpannedString, report: &mut Report) {
        let Some((from, port)) = self.origin(written, report) else { return };
        let link = Link { written: written.clone(), port, slot };
        self.edges.add_edge(self.index(from), self.index(to), link);
    }

    /// Inputs come first, then nodes, then outputs.
    fn index(&self, vertex: Vertex) -> NodeIndex {
        NodeIndex::new(match vertex {
            Vertex::Input(index) => index,
            Vertex::Node(index) => self.spec.inputs.len() + index,
            Vertex::Output(index) => self.spec.inputs.len() + self.spec.nodes.len() + index,
        })
    }

    /// The vertex and port that a reference names.
    fn origin(&self, written: &SpannedString, report: &mut Report) -> Option<(Vertex, Option<String>)> {
        let (head, port) = match written.value.split_once('.') {
            Some((head, port)) => (head, Some(port)),
            None => (written.value.as_str(), None),
        };
        if let Some(index) = self.spec.inputs.iter().position(|input| input.name.value == head) {
            return single(Vertex::Input(index), head, port, written, report);
        }
        let Some(index) = self.spec.nodes.iter().position(|node| node.name.value == head) else {
            let inputs = self.spec.inputs.iter().map(|input| input.name.value.as_str());
            let nodes = self.spec.nodes.iter().map(|node| node.name.value.as_str());
            let name = SpannedString::new(head.to_string(), written.span);
            unknown("node or input", &name, inputs.chain(nodes), report);
            return None;
        };
        match &self.spec.nodes[index].action {
            Some(Action::Code(_)) if port == Some(POOLED) && has_vector(self.acts[index].as_ref()) => {
                Some((Vertex::Node(index), port.map(String::from)))
            }
            Some(Action::Code(_)) => single(Vertex::Node(index), head, port, written, report),
            Some(Action::Diffuse(spec)) => {
                let generated: Vec<&str> = spec.roles.generate.iter().map(|stream| stream.value.as_str()).collect();
                let port = stream_port(head, port, &generated, self.acts[index].as_ref(), written, report)?;
                Some((Vertex::Node(index), Some(port)))
            }
            Some(Action::Compare(_)) => {
                let Some(Act::Compare(node)) = &self.acts[index] else { return None };
                let port = stream_port(head, port, node.ports(), self.acts[index].as_ref(), written, report)?;
                Some((Vertex::Node(index), Some(port)))
            }
            Some(Action::Judge(_)) => {
                let Some(Act::Judge(judge)) = &self.acts[index] else { return None };
                let port = stream_port(head, port, judge.ports(), self.acts[index].as_ref(), written, report)?;
                Some((Vertex::Node(index), Some(port)))
            }
            Some(Action::Score(..)) => {
                let port = stream_port(head, port, &PORTS, self.acts[index].as_ref(), written, report)?;
                Some((Vertex::Node(index), Some(port)))
            }
            None => None,
        }
    }
}

/// True if a node makes a prompt with a vector of the whole.
fn has_vector(act: Option<&Act>) -> bool {
    matches!(act, Some(Act::Embed { has_vector: true, .. }))
}

/// A vertex with a single port, which has no name.
fn single(
    vertex: Vertex,
    head: &str,
    port: Option<&str>,
    written: &SpannedString,
    report: &mut Report,
) -> Option<(Vertex, Option<String>)> {
    let Some(port) = port else { return Some((vertex, None)) };
    let hint = Hint::exactly(head);
    report.error(written.span, PortProblem::UnknownPort { node: head.into(), port: port.into(), hint });
    None
}

/// A port of a `diffuse` node (one of the streams that it generates), or of a `score` node.
fn stream_port(
    head: &str,
    port: Option<&str>,
    generated: &[&str],
    act: Option<&Act>,
    written: &SpannedString,
    report: &mut Report,
) -> Option<String> {
    let Some(port) = port else {
        let choices: Vec<String> = generated.iter().map(|stream| format!("`{head}.{stream}`")).collect();
        report.error(written.span, PortProblem::PortWanted { node: head.into(), choices: choices.join(" or ") });
        return None;
    };
    if generated.contains(&port) {
        return Some(port.to_string());
    }
    let role = match act {
        Some(Act::Diffuse(diffusion)) => diffusion.streams.0.get(port),
        Some(Act::Score(..) | Act::Judge(_) | Act::Compare(_)) => None,
        // A wrong diffusion was reported; its streams are unknown.
        _ => return None,
    };
    let listed = || format!("list `{port}` in `diffuse` to use it");
    let (role, remedy) = match role {
        Some(StreamRole::Observe { .. }) => ("observed", "use the node that it is observed from".into()),
        Some(StreamRole::Absent) => ("absent", listed()),
        Some(role) if role.is_sampled() => ("marginalized (sampled and discarded)", listed()),
        _ => {
            let hint = Hint::among(port, generated.iter().copied());
            report.error(written.span, PortProblem::UnknownPort { node: head.into(), port: port.into(), hint });
            return None;
        }
    };
    let port = port.to_string();
    report.error(written.span, PortProblem::NotGenerated { node: head.into(), port, role, remedy });
    None
}
