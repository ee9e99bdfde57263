//! Rule: both ends of every edge have the same type.

use petgraph::visit::EdgeRef;

use crate::compile::Catalog;
use crate::descriptor::{CodecDescriptor, Role};
use crate::error::Report;
use crate::graph::{self, Act, Graph, Link, ModelGraph, Slot, Vertex};
use crate::plan::{Diffusion, Form, Stream, Type};
use crate::problem::problems;
use crate::source::SpannedString;
use crate::spec::unknown;

problems! {
    /// What can be wrong with an edge.
    pub(crate) enum TypeProblem {
        /// A node takes another type than the node that it reads from makes.
        /// Example: `decode` that reads from a prompt.
        /// Cure: Read from a node of the needed type, or put a node between them that converts.
        #[error("{to} takes {wanted}, but `{from}` is {found}")]
        EdgeMismatch { to: String, wanted: String, from: String, found: String },
    }
}

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
            Some(Act::Code { role: Role::Encode, stream }) => model.streams.get(stream)?.codec_descriptor,
            Some(Act::Embed { prompt }) => model.prompts.get(prompt)?.codec_descriptor,
            _ => None,
        },
        _ => None,
    });
    let in_model = read_by.chain(codecs_of(model));
    let anywhere = catalog.plugins.values().flat_map(|(plugin, _)| &plugin.codecs);
    let found = in_model.chain(anywhere).find(|codec| codec.modality == modality.value).map(Type::cells);
    let all_known = model.streams.values().all(|stream| stream.codec_descriptor.is_some())
        && model.prompts.values().all(|prompt| prompt.codec_descriptor.is_some());
    if found.is_none() && all_known {
        unknown_modality(modality, model, catalog, report);
    }
    found
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
            Act::Embed { prompt } => {
                let plan = model.prompts.get(prompt)?.plan.as_ref()?;
                Some(Type::tokens(&plan.modality, prompt, plan.tokens.clone()))
            }
            Act::Code { stream, .. } => Some(plan_of(model, stream)?.cells.clone()),
            Act::Diffuse(_) => latent(port?, plan_of(model, port?)?),
            Act::Score(_, scoring) => Some(graph::leaving(port?, &plan_of(model, &scoring.stream)?.modality)),
        },
    }
}

fn plan_of<'m>(model: &'m ModelGraph, stream: &str) -> Option<&'m Stream> {
    model.streams.get(stream)?.plan.as_ref()
}

fn latent(name: &str, stream: &Stream) -> Option<Type> {
    Some(Type::latent(&stream.modality, name, stream.latent.clone()))
}

/// Compares both ends of every edge.
pub(crate) fn check(graph: &Graph, inputs: &[Option<Type>], model: &ModelGraph, report: &mut Report) {
    for edge in graph.edges.edge_references() {
        let from = graph.edges[edge.source()];
        let to = graph.edges[edge.target()];
        let link = edge.weight();
        let Some(found) = leaving(graph, from, link.port.as_deref(), inputs, model) else { continue };
        // Every type can be written to an output: cells as they are, numbers as lists.
        check_node(graph, to, link, &found, model, report);
    }
}

fn check_node(graph: &Graph, to: Vertex, link: &Link, found: &Type, model: &ModelGraph, report: &mut Report) {
    let Vertex::Node(index) = to else { return };
    let name = &graph.name(to).value;
    let end = match (graph.acts[index].as_ref(), &link.slot) {
        (Some(Act::Code { role: Role::Encode, stream }), _) => {
            plan_of(model, stream).map(|plan| (format!("encoding in node `{name}`"), plan.cells.clone()))
        }
        (Some(Act::Embed { prompt }), _) => {
            let plan = model.prompts.get(prompt).and_then(|prompt| prompt.plan.as_ref());
            plan.map(|plan| (format!("embedding in node `{name}`"), plan.cells.clone()))
        }
        (Some(Act::Code { stream, .. }), _) => plan_of(model, stream)
            .and_then(|plan| latent(stream, plan))
            .map(|wanted| (format!("decoding in node `{name}`"), wanted)),
        (Some(Act::Diffuse(_) | Act::Score(..)), Slot::Observe(stream)) => plan_of(model, stream)
            .and_then(|plan| latent(stream, plan))
            .map(|wanted| (format!("`observe` of node `{name}`"), wanted)),
        (Some(Act::Diffuse(_)), Slot::Start(stream)) => plan_of(model, stream)
            .and_then(|plan| latent(stream, plan))
            .map(|wanted| (format!("`start` of node `{name}`"), wanted)),
        _ => None,
    };
    if let (Some(Act::Diffuse(diffusion)), Slot::Condition) = (graph.acts[index].as_ref(), &link.slot) {
        check_condition(name, diffusion, link, found, model, report);
    }
    if let (Some(Act::Diffuse(_)), Slot::Mask(stream)) = (graph.acts[index].as_ref(), &link.slot) {
        check_mask(name, stream, link, found, model, report);
    }
    if let Some((to, wanted)) = end.filter(|(_, wanted)| wanted != found) {
        say(to, wanted.to_string(), link, found, report);
    }
}

/// A condition must be a prompt of the denoiser.
fn check_condition(
    node: &str,
    diffusion: &Diffusion,
    link: &Link,
    found: &Type,
    model: &ModelGraph,
    report: &mut Report,
) {
    let Some((_, Some(denoiser))) = model.denoisers.get(&diffusion.denoiser) else { return };
    match &found.form {
        Form::Tokens { prompt, .. } if denoiser.prompts.contains(prompt) => {}
        _ => {
            let wanted = match denoiser.prompts.as_slice() {
                [] => format!("nothing, since denoiser `{}` has no prompts", diffusion.denoiser),
                prompts => format!("tokens of a prompt of denoiser `{}` ({})", diffusion.denoiser, prompts.join(", ")),
            };
            say(format!("`condition` of node `{node}`"), wanted, link, found, report);
        }
    }
}

/// A mask may come from any stream; only its shape matters.
fn check_mask(node: &str, stream: &str, link: &Link, found: &Type, model: &ModelGraph, report: &mut Report) {
    let Some(plan) = plan_of(model, stream) else { return };
    match &found.form {
        Form::Latent { shape, .. } if *shape == plan.latent => {}
        _ => {
            let wanted = format!("a latent of shape {:?}", plan.latent);
            say(format!("`mask` of stream `{stream}` in node `{node}`"), wanted, link, found, report);
        }
    }
}

fn say(to: String, wanted: String, link: &Link, found: &Type, report: &mut Report) {
    let from = link.written.value.clone();
    let found = found.to_string();
    report.error(link.written.span, TypeProblem::EdgeMismatch { to, wanted, from, found });
}
