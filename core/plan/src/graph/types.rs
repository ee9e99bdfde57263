//! The types of inputs, and of what leaves a node.

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::catalog::Catalog;
use crate::descriptor::{CodecDescriptor, Role};
use crate::error::Report;
use crate::graph::{self, Act, Graph, ModelGraph, PairNode, PromptNode, Slot, Vertex};
use crate::plan::{PromptConfig, Stream, Type};
use crate::source::SpannedString;
use crate::spec::unknown;

/// The types of the inputs by index; `None` if the type is unknown.
pub(crate) fn of_inputs(
    graph: &Graph,
    model: &ModelGraph,
    catalog: &Catalog,
    report: &mut Report,
) -> Vec<Option<Type>> {
    (0..graph.spec.inputs.len()).map(|index| of_input(graph, index, model, catalog, report)).collect()
}

/// Cells of the declared modality, as the first reader takes them, or else as the model or any plugin defines them.
fn of_input(graph: &Graph, index: usize, model: &ModelGraph, catalog: &Catalog, report: &mut Report) -> Option<Type> {
    let modality = graph.spec.inputs[index].modality.as_ref()?;
    let readers = graph.vertices().filter(|(_, vertex)| *vertex == Vertex::Input(index)).flat_map(|(from, _)| {
        let mut readers: Vec<_> = graph.edges.neighbors(from).collect();
        readers.sort();
        readers
    });
    let read_by = readers.filter_map(|reader| match graph.edges[reader] {
        Vertex::Node(node) => match &graph.acts[node] {
            Some(Act::Code { role: Role::Encode, stream }) => {
                model.streams.get(stream)?.codec_descriptor.map(Type::cells)
            }
            Some(Act::Embed { prompt, .. }) => model.prompts.get(prompt)?.cells(),
            Some(Act::Judge(node)) => model.streams.get(&node.scorer.stream)?.codec_descriptor.map(Type::cells),
            Some(Act::Compare(node)) => compared(graph, index, reader, node, model),
            _ => None,
        },
        _ => None,
    });
    let of_prompts = model.prompts.values().filter_map(PromptNode::cells);
    let in_model = read_by.chain(codecs_of(model).map(Type::cells)).chain(of_prompts);
    let anywhere = catalog.plugins.values().flat_map(|(plugin, _)| &plugin.codecs).map(Type::cells);
    let found = in_model.chain(anywhere).find(|cells| cells.modality == modality.value);
    let all_known = model.streams.values().all(|stream| stream.codec_descriptor.is_some())
        && model.prompts.values().all(|prompt| prompt.cells().is_some());
    if found.is_none() && all_known {
        unknown_modality(modality, model, catalog, report);
    }
    found
}

/// The cells of the prompt as which a comparison reads an input.
fn compared(graph: &Graph, input: usize, reader: NodeIndex, node: &PairNode, model: &ModelGraph) -> Option<Type> {
    let mut edges = graph.edges.edges_directed(reader, Direction::Incoming);
    let edge = edges.find(|edge| graph.edges[edge.source()] == Vertex::Input(input))?;
    let prompt = &node.between[usize::from(edge.weight().slot == Slot::Against)];
    model.prompts.get(prompt)?.cells()
}

fn codecs_of<'a>(model: &ModelGraph<'a>) -> impl Iterator<Item = &'a CodecDescriptor> {
    let of_prompts = model.prompts.values().filter_map(|prompt| prompt.codec_descriptor);
    model.streams.values().filter_map(|stream| stream.codec_descriptor).chain(of_prompts)
}

fn unknown_modality(modality: &SpannedString, model: &ModelGraph, catalog: &Catalog, report: &mut Report) {
    let mut known: Vec<&str> = Vec::new();
    for codec in codecs_of(model).chain(catalog.plugins.values().flat_map(|(plugin, _)| &plugin.codecs)) {
        if !known.contains(&codec.modality.as_str()) {
            known.push(&codec.modality);
        }
    }
    unknown("modality", modality, known, report);
}

/// The type that leaves a vertex by a port.
pub(crate) fn leaving(
    graph: &Graph,
    vertex: Vertex,
    port: Option<&str>,
    inputs: &[Option<Type>],
    model: &ModelGraph,
) -> Option<Type> {
    match vertex {
        Vertex::Input(index) => inputs[index].clone(),
        Vertex::Output(_) => None,
        Vertex::Node(index) => match graph.acts[index].as_ref()? {
            Act::Code { role: Role::Encode, stream } => latent(stream, plan_of(model, stream)?),
            Act::Embed { prompt, .. } => embedding(prompt, port, model.prompts.get(prompt)?.plan.as_ref()?),
            Act::Code { stream, .. } => Some(plan_of(model, stream)?.cells.clone()),
            Act::Diffuse(_) => latent(port?, plan_of(model, port?)?),
            Act::Score(_, scoring) => Some(graph::type_of_port(port?, &plan_of(model, &scoring.stream)?.modality)),
            Act::Compare(node) => {
                let cells = model.prompts.get(&node.between[1]).and_then(PromptNode::cells)?;
                Some(PairNode::type_of_port(port?, &cells.modality))
            }
            Act::Judge(node) => Some(node.type_of_port(port?, &plan_of(model, &node.scorer.stream)?.modality)),
        },
    }
}

/// The type that leaves a node that makes a prompt: its tokens, or its vector. Numbers are a vector.
pub(crate) fn embedding(name: &str, port: Option<&str>, prompt: &PromptConfig) -> Option<Type> {
    let modality = &prompt.cells().modality;
    match prompt.tokens().filter(|_| port.is_none()) {
        Some(tokens) => Some(Type::tokens(modality, name, tokens)),
        None => Some(Type::vector(modality, name, prompt.vector()?)),
    }
}

/// The plan of a stream, if nothing in it is wrong.
pub(crate) fn plan_of<'m>(model: &'m ModelGraph, stream: &str) -> Option<&'m Stream> {
    model.streams.get(stream)?.plan.as_ref()
}

/// The type of a latent.
pub(crate) fn latent(name: &str, stream: &Stream) -> Option<Type> {
    Some(Type::latent(&stream.modality, name, stream.latent.clone()))
}
