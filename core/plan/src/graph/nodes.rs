//! Actions of a pipeline's nodes, resolved against the model.

use crate::catalog::Catalog;
use crate::component::{self, ComponentProblem};
use crate::descriptor::Role;
use crate::error::Report;
use crate::graph::pair_node::resolve_pair_node;
use crate::graph::{
    ModelGraph, PairNode, ScorerNode, StreamNode, encoding, resolve_diffusion, resolve_scorer_node, resolve_scoring,
};
use crate::plan::{Diffusion, PromptConfig, Scoring};
use crate::problem::{Hint, Problem, problems};
use crate::source::SpannedString;
use crate::spec::{Action, CodeSpec, DiffuseSpec, NodeSpec};

problems! {
    /// What can be wrong with the parts of a model that a node names.
    pub(crate) enum NodeProblem {
        /// A node names a component that no stream or prompt of the model uses.
        /// Example: `encode: PLUGIN/other` with a model whose streams use `PLUGIN/autoencoder`.
        /// Cure: Name the component of a stream, or use this component in the model.
        #[error("no {what} of the model uses `{component}`{hint}")]
        UnusedComponent { what: &'static str, component: String, hint: Hint },
    }
}

/// The resolved action of a node.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Encodes or decodes a stream.
    Code { role: Role, stream: String },
    /// Makes a prompt: its tokens, and its vector if it has one.
    Embed { prompt: String, has_vector: bool },
    /// Generates streams.
    Diffuse(Diffusion),
    /// Predicts classes.
    Score(Diffusion, Scoring),
    /// Classifies cells by a trained scorer.
    Judge(ScorerNode),
    /// Compares two prompts.
    Compare(PairNode),
}

/// Resolves a node; `None` if something is wrong, which is reported.
pub(crate) fn resolve_node(
    node: &NodeSpec,
    all: &[NodeSpec],
    model: &ModelGraph,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<Act> {
    match node.action.as_ref()? {
        Action::Code(code) if code.role == Role::Embed => {
            let prompt = prompt_named(code, model, report)?;
            let plan = model.prompts.get(&prompt)?.plan.as_ref();
            let has_vector = plan.and_then(PromptConfig::encoded).is_some_and(|encoded| encoded.vector.is_some());
            Some(Act::Embed { prompt, has_vector })
        }
        Action::Code(code) => {
            let stream = stream_of(code, model, catalog, report)?;
            can(code, model.streams.get(&stream)?, report)?;
            Some(Act::Code { role: code.role, stream })
        }
        Action::Diffuse(spec) => diffusion(spec, all, model, report).map(Act::Diffuse),
        Action::Score(spec, scoring) => {
            let diffusion = resolve_diffusion(spec, |_| None, model, report)?;
            Some(Act::Score(diffusion, resolve_scoring(scoring, model, report)?))
        }
        Action::Judge(spec) => resolve_scorer_node(spec, model, catalog, report).map(Act::Judge),
        Action::Compare(spec) => resolve_pair_node(spec, model, report).map(Act::Compare),
    }
}

impl CodeSpec {
    /// True if the node names a stream or prompt itself, in place of its component.
    fn names<'m>(&self, mut known: impl Iterator<Item = &'m String>) -> bool {
        self.stream.is_none() && known.any(|name| *name == self.component.value)
    }
}

/// The prompt that a node names, by itself or by its module.
fn prompt_named(code: &CodeSpec, model: &ModelGraph, report: &mut Report) -> Option<String> {
    if code.names(model.prompts.keys()) {
        return Some(code.component.value.clone());
    }
    let users = model.prompts.iter().map(|(name, prompt)| (name, prompt.component.as_deref()));
    let known = model.prompts.values().all(|prompt| prompt.plan.is_some());
    user(code, "prompt", users, known, report)
}

/// The stream that a component stands for.
fn stream_of(code: &CodeSpec, model: &ModelGraph, catalog: &Catalog, report: &mut Report) -> Option<String> {
    if code.names(model.streams.keys()) {
        return Some(code.component.value.clone());
    }
    let named = |stream: &StreamNode| stream.component.as_deref() == Some(code.component.value.as_str());
    if !model.streams.values().any(named) {
        no_user(&code.component, model, catalog, report);
        return None;
    }
    let users = model.streams.iter().map(|(name, stream)| (name, stream.component.as_deref()));
    user(code, "stream", users, true, report)
}

/// The stream or prompt (`what`) that uses a component; the node must name it if there are several. Unless `all_known`, a
/// stream or prompt that could not be read may use it.
fn user<'m>(
    code: &CodeSpec,
    what: &'static str,
    users: impl Iterator<Item = (&'m String, Option<&'m str>)>,
    all_known: bool,
    report: &mut Report,
) -> Option<String> {
    let component = &code.component;
    let users = users.collect::<Vec<_>>();
    let names = |wanted: &str| -> Vec<&String> {
        users.iter().filter(|(_, named)| *named == Some(wanted)).map(|(name, _)| *name).collect()
    };
    let found = names(&component.value);
    match (&code.stream, found.as_slice()) {
        (_, []) => {
            if all_known {
                let hint = Hint::among(&component.value, users.iter().filter_map(|(_, named)| *named));
                let at = component.span;
                let component = component.value.clone();
                report.error(at, NodeProblem::UnusedComponent { what, component, hint });
            }
            None
        }
        (Some(name), _) if found.contains(&&name.value) => Some(name.value.clone()),
        (Some(name), _) => {
            let hint = Hint::among(&name.value, found.iter().map(|name| name.as_str()));
            let owner = format!("`{}`", component.value);
            let what = what.into();
            report.error(name.span, Problem::NotThere { owner, what, name: name.value.clone(), hint });
            None
        }
        (None, [only]) => Some((*only).clone()),
        (None, _) => {
            let candidates = found.into_iter().cloned().collect();
            let remedy = format!("name one with `{what}`");
            let what = format!("the {what} of `{}`", component.value);
            report.error(component.span, Problem::Ambiguous { what, candidates, remedy });
            None
        }
    }
}

/// Reports a component that no stream uses, and what to write instead.
fn no_user(component: &SpannedString, model: &ModelGraph, catalog: &Catalog, report: &mut Report) {
    let named = |stream: &StreamNode| stream.component.clone();
    let by_codec = model.streams.values().find(|stream| stream.codec.as_ref() == Some(&component.value));
    if let Some(module) = by_codec.filter(|_| component::is_codec(&component.value, catalog)).and_then(named) {
        let found = "codec".into();
        let expected = format!("module (`{module}`)");
        let problem = ComponentProblem::WrongComponent { component: component.value.clone(), found, expected };
        report.error(component.span, problem);
        return;
    }
    if model.streams.values().any(|stream| !stream.is_found()) {
        // The model may misspell this component, which was reported.
        return;
    }
    let known: Vec<String> = model.streams.values().filter_map(named).collect();
    let hint = Hint::among(&component.value, known.iter().map(String::as_str));
    let what = "stream";
    let component_name = component.value.clone();
    report.error(component.span, NodeProblem::UnusedComponent { what, component: component_name, hint });
}

/// Refuses a role that the stream's module does not have.
fn can(code: &CodeSpec, stream: &StreamNode, report: &mut Report) -> Option<()> {
    match &stream.module {
        // A stream that is itself wrong was reported.
        Some(module) if code.role == Role::Encode && encoding(module.descriptor).is_some() => Some(()),
        Some(module) if stream.plan.is_some() => {
            component::need_role(module.descriptor, code.role, &code.component, code.component.span, report).map(|_| ())
        }
        _ => Some(()),
    }
}

fn diffusion(spec: &DiffuseSpec, all: &[NodeSpec], model: &ModelGraph, report: &mut Report) -> Option<Diffusion> {
    if spec.roles.generate.is_empty() {
        let wanted = "at least one stream".into();
        report.error(spec.span, Problem::WrongCount { what: "`diffuse`".into(), wanted, found: 0 });
    }
    resolve_diffusion(spec, |tokens| prompt_of(tokens, all, model), model, report)
}

/// The prompt that a node makes. A wrong reference is reported with the edges.
fn prompt_of(node: &SpannedString, all: &[NodeSpec], model: &ModelGraph) -> Option<String> {
    let node = all.iter().find(|known| known.name.value == node.value)?;
    match resolve_node(node, &[], model, &Catalog::default(), &mut Report::default()) {
        Some(Act::Embed { prompt, .. }) => Some(prompt),
        _ => None,
    }
}
