//! Rule: both ends of every edge have the same type.

use petgraph::visit::EdgeRef;

use crate::check::Rule;
use crate::descriptor::Role;
use crate::error::Report;
use crate::graph::{Act, Graph, Link, ModelGraph, Pipeline, Slot, Vertex, latent, leaving, plan_of};
use crate::plan::{Diffusion, Form, Type};
use crate::problem::{CodeEntry, problems};

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

pub(super) struct Types;

impl Rule for Types {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        let Pipeline { graph, model, inputs, .. } = pipeline;
        for edge in graph.edges.edge_references() {
            let from = graph.edges[edge.source()];
            let to = graph.edges[edge.target()];
            let link = edge.weight();
            let Some(found) = leaving(graph, from, link.port.as_deref(), inputs, model) else { continue };
            // Every type can be written to an output: cells as they are, numbers as lists.
            check_node(graph, to, link, &found, model, report);
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        TypeProblem::codes()
    }
}

fn check_node(graph: &Graph, to: Vertex, link: &Link, found: &Type, model: &ModelGraph, report: &mut Report) {
    let Vertex::Node(index) = to else { return };
    let name = &graph.name(to).value;
    let end = match (graph.acts[index].as_ref(), &link.slot) {
        (Some(Act::Code { stream, .. }), Slot::Hide) => {
            return check_hidden(link, name, stream, found, model, report);
        }
        (Some(Act::Code { role: Role::Encode, stream }), _) => {
            plan_of(model, stream).map(|plan| (format!("encoding in node `{name}`"), plan.cells.clone()))
        }
        (Some(Act::Embed { prompt, .. }), _) => {
            let plan = model.prompts.get(prompt).and_then(|prompt| prompt.plan.as_ref());
            plan.map(|plan| (format!("embedding in node `{name}`"), plan.cells().clone()))
        }
        (Some(Act::Judge(judge)), _) => {
            plan_of(model, &judge.scorer.stream).map(|plan| (format!("scoring in node `{name}`"), plan.cells.clone()))
        }
        (Some(Act::Compare(node)), slot) => {
            let prompt = &node.between[usize::from(*slot == Slot::Against)];
            let plan = model.prompts.get(prompt).and_then(|prompt| prompt.plan.as_ref());
            plan.map(|plan| (format!("prompt `{prompt}` of node `{name}`"), plan.cells().clone()))
        }
        (Some(Act::Code { stream, .. }), _) => plan_of(model, stream)
            .and_then(|plan| latent(stream, plan))
            .map(|wanted| (format!("decoding in node `{name}`"), wanted)),
        (Some(Act::Diffuse(_) | Act::Score(..)), Slot::Observe(stream)) => plan_of(model, stream)
            .and_then(|plan| latent(stream, plan))
            .map(|wanted| (format!("`observe` of node `{name}`"), wanted)),
        (Some(Act::Diffuse(_) | Act::Score(..)), Slot::Plane(stream)) => plan_of(model, stream)
            .and_then(|plan| latent(stream, plan))
            .map(|wanted| (format!("`planes` of node `{name}`"), wanted)),
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
        Form::Tokens { prompt, .. } | Form::Vector { prompt, .. }
            if link.port.is_none() && denoiser.vectors.iter().any(|vectors| vectors.has(prompt)) => {}
        _ => {
            let wanted = match denoiser.prompts.as_slice() {
                [] => format!("nothing, since denoiser `{}` has no prompts", diffusion.denoiser),
                prompts => format!("tokens of a prompt of denoiser `{}` ({})", diffusion.denoiser, prompts.join(", ")),
            };
            say(format!("`condition` of node `{node}`"), wanted, link, found, report);
        }
    }
}

/// What hides must be the latent of a stream whose array has one channel and the size of the array that is encoded.
fn check_hidden(link: &Link, node: &str, stream: &str, found: &Type, model: &ModelGraph, report: &mut Report) {
    let array = |stream: &str| plan_of(model, stream)?.array.elements().map(|(shape, _)| shape.to_vec());
    let Some(own) = array(stream) else { return };
    let mask = of_one_channel(&own);
    let is_encoded = link.port.is_none();
    match &found.form {
        Form::Latent { stream, .. } if is_encoded && array(stream).as_ref() == Some(&mask) => {}
        _ => {
            let wanted = format!("the latent of a stream whose array is {mask:?}");
            say(format!("`hide` of node `{node}`"), wanted, link, found, report);
        }
    }
}

/// A mask may come from any stream; only its shape matters, and it may have one channel for all.
fn check_mask(node: &str, stream: &str, link: &Link, found: &Type, model: &ModelGraph, report: &mut Report) {
    let Some(plan) = plan_of(model, stream) else { return };
    match &found.form {
        Form::Latent { shape, .. } if masks(shape, &plan.latent) => {}
        _ => {
            let wanted = format!("a latent of shape {:?}", plan.latent);
            say(format!("`mask` of stream `{stream}` in node `{node}`"), wanted, link, found, report);
        }
    }
}

/// True if a mask of a shape fits a latent [channel, ...]: it has the same shape, or one channel for all.
pub(super) fn masks(mask: &[i64], latent: &[i64]) -> bool {
    mask == latent || mask == of_one_channel(latent)
}

/// The shape [channel, ...] with one channel.
pub(super) fn of_one_channel(shape: &[i64]) -> Vec<i64> {
    shape.iter().take(1).map(|_| 1).chain(shape.iter().skip(1).copied()).collect()
}

fn say(to: String, wanted: String, link: &Link, found: &Type, report: &mut Report) {
    let from = link.written.value.clone();
    let found = found.to_string();
    report.error(link.written.span, TypeProblem::EdgeMismatch { to, wanted, from, found });
}
