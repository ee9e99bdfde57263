//! Pipelines as parts of a pipeline. A node with `use` stands for the nodes of another file. Their names get the prefix
//! `NODE/`. What they read from an input becomes what the node wires to that input, and a reference to an output of the
//! node becomes a reference to the node that makes it.

mod files;

use anyflow_config::ValueForm;

use crate::error::Report;
use crate::include;
use crate::problem::{Hint, Problem, problems};
use crate::source::SpannedString;
use crate::spec::unknown;
use crate::surface::{self, Fields, Reader};
use crate::yaml::{Content, Entry, Node};

use super::{NodeSpec, OutputSpec, PipelineSpec, pipeline_among};
pub(super) use files::Files;

problems! {
    /// What can be wrong with a pipeline that is a part of another.
    pub(crate) enum SubgraphProblem {
        /// Pipelines use each other in a circle, so none of them can be put together.
        /// Example: `use: other.yaml` in a pipeline that `other.yaml` uses.
        /// Cure: Remove one of the `use`, or move the nodes that both need into a third pipeline.
        #[error("these pipelines use each other: {}", .files.join(" -> "))]
        UseCycle { files: Vec<String> },
        /// Outputs of parts lead to each other in a circle: they are inputs that pass through, and nothing makes them.
        /// Example: `a: {use: p.yaml, inputs: {x: b.x}}` and `b: {use: p.yaml, inputs: {x: a.x}}`, where `x` is an input and
        /// an output of `p.yaml`.
        /// Cure: Wire one of the inputs to an input of the pipeline, or to a node that makes it.
        #[error("no node makes these outputs, which lead to each other: {}", .references.join(" -> "))]
        OutputCycle { references: Vec<String> },
        /// A reference `node.column` names an output that the pipeline of the node does not have.
        /// Example: `from: drawn.sketh`, where the pipeline of `drawn` has the output `sketch`.
        /// Cure: Name a column that the pipeline lists under `outputs`. Its nodes cannot be read from outside.
        #[error("the pipeline of `{node}` has no output `{output}`{hint}")]
        UnknownOutput { node: String, output: String, hint: Hint },
        /// A reference names a whole pipeline, but not one of its outputs.
        /// Example: `from: drawn`, where `drawn` uses a pipeline.
        /// Cure: Write `node.column`, as the message shows.
        #[error("`{node}` is a whole pipeline; write {choices}")]
        OutputWanted { node: String, choices: String },
        /// A pipeline that is a part of another one names a model of its own.
        /// Example: `use: part.yaml`, where `part.yaml` has `model: other.yaml`.
        /// Cure: Nothing, if the streams of the two models mean the same. Otherwise run the part by itself.
        #[error("`model` has no effect: as a part of another pipeline, it runs on the model of that one, {model}")]
        ModelOfPart { model: String },
    }
}

/// Separates the name of a part from the names of its nodes.
pub(crate) const INNER: char = '/';

/// A node that stands for another pipeline.
struct Part {
    name: String,
    /// Its outputs and what makes them; `None` if the pipeline is wrong, which was reported.
    outputs: Option<Vec<OutputSpec>>,
}

/// The parts of a pipeline.
#[derive(Default)]
pub(super) struct Parts(Vec<Part>);

impl Parts {
    /// Adds the pipeline that a node uses. Returns its nodes, and one without an action that stands for the whole part.
    pub fn add(&mut self, node: &Entry, files: Files<'_>, report: &mut Report) -> Vec<NodeSpec> {
        let name = node.key.value.clone();
        let (mut nodes, outputs) = match read(node, files, report) {
            Some(spec) => (spec.nodes, Some(spec.outputs)),
            None => (Vec::new(), None),
        };
        nodes.push(NodeSpec { name: node.key.clone(), action: None });
        self.0.push(Part { name, outputs });
        nodes
    }

    /// Replaces a reference to an output of a part by a reference to what makes it. A reference to the part as a whole
    /// remains if something is wrong, which is reported.
    pub fn follow(&self, reference: &mut SpannedString, report: &mut Report) {
        let mut passed = Vec::new();
        while let Some((part, port)) = self.named(&reference.value) {
            let Some(outputs) = &part.outputs else { return };
            if passed.contains(&reference.value) {
                passed.push(reference.value.clone());
                return report.error(reference.span, SubgraphProblem::OutputCycle { references: passed });
            }
            let made = outputs.iter().find(|output| Some(output.column.value.as_str()) == port);
            let Some(OutputSpec { from, .. }) = made else {
                report.error(reference.span, no_output(part, port, outputs));
                reference.value.clone_from(&part.name);
                return;
            };
            passed.push(std::mem::replace(&mut reference.value, from.value.clone()));
        }
    }

    /// As [`Parts::follow`], for a reference of the file itself. It may not name a node inside a part.
    pub fn follow_own(&self, reference: &mut SpannedString, report: &mut Report) {
        let inner = reference.value.split_once(INNER);
        let Some((part, node)) = inner.and_then(|(head, node)| Some((self.named(head)?.0, node))) else {
            return self.follow(reference, report);
        };
        if let Some(outputs) = &part.outputs {
            report.error(reference.span, no_output(part, Some(node), outputs));
        }
        reference.value.clone_from(&part.name);
    }

    /// The part that a reference names, and the port.
    fn named<'r>(&self, reference: &'r str) -> Option<(&Part, Option<&'r str>)> {
        let (head, port) = reference.split_once('.').map_or((reference, None), |(head, port)| (head, Some(port)));
        Some((self.0.iter().find(|part| part.name == head)?, port))
    }
}

fn no_output(part: &Part, port: Option<&str>, outputs: &[OutputSpec]) -> SubgraphProblem {
    let names = outputs.iter().map(|output| output.column.value.as_str());
    let node = part.name.clone();
    match port {
        Some(port) => SubgraphProblem::UnknownOutput { node, output: port.into(), hint: Hint::among(port, names) },
        None => {
            let choices: Vec<String> = names.map(|name| format!("`{node}.{name}`")).collect();
            SubgraphProblem::OutputWanted { node, choices: choices.join(" or ") }
        }
    }
}

/// What each input of a pipeline reads.
type Wires = Vec<(SpannedString, SpannedString)>;

/// A node that uses a pipeline, with the wires of the inputs.
pub(super) fn opened<'n>(node: &'n Entry, report: &mut Report) -> Option<(Fields<'n>, Wires)> {
    let within = format!("node `{}`", node.key.value);
    let fields = Fields::open(&node.node, &surface::USE, within, node.key.span, report)?;
    let wires = fields.pairs("inputs", report);
    Some((fields, wires))
}

/// The pipeline that a node uses, with the changes of the node, as a part of the file of the node.
fn read(node: &Entry, files: Files<'_>, report: &mut Report) -> Option<PipelineSpec> {
    let (fields, wires) = opened(node, report)?;
    let path = fields.text("use", report)?;
    let id = files.find(&path, report)?;
    let mut root = files.tree(id, &path, report)?;
    change(&mut root, fields.names("with", report), report);
    let chain = [files.chain, &[id]].concat();
    let spec = pipeline_among(&root, Files { chain: &chain, ..files }, report)?;
    let is_wired = complete(&spec, &wires, &fields, node, report);
    is_wired.then(|| placed(spec, &node.key.value, &wires))
}

/// Puts the keys of `with` into the nodes that they name.
fn change(root: &mut Node, changes: &[Entry], report: &mut Report) {
    let Content::Mapping(entries) = &mut root.content else { return };
    let nodes = entries.iter_mut().find(|entry| entry.key.value == "nodes").map(|entry| &mut entry.node.content);
    let Some(Content::Mapping(nodes)) = nodes else { return };
    for Entry { key, node: change } in changes {
        let known: Vec<String> = nodes.iter().map(|node| node.key.value.clone()).collect();
        match nodes.iter_mut().find(|node| node.key.value == key.value) {
            None => unknown("node", key, known.iter().map(String::as_str), report),
            Some(_) if !matches!(change.content, Content::Mapping(_)) => {
                ValueForm::Names(&ValueForm::Any).wrong(change, &format!("`{}` in `with`", key.value), report);
            }
            Some(node) => node.node = include::merged(node.node.clone(), change.clone()),
        }
    }
}

/// True if every input has a wire. Wires to other names, and to nodes inside a part, are reported.
fn complete(
    spec: &PipelineSpec,
    wires: &[(SpannedString, SpannedString)],
    fields: &Fields,
    node: &Entry,
    report: &mut Report,
) -> bool {
    let within = || format!("`inputs` of {}", fields.within);
    let mut is_complete = true;
    for input in spec.inputs.iter().filter(|input| wires.iter().all(|(name, _)| name.value != input.name.value)) {
        let problem = Problem::MissingKey { key: input.name.value.clone(), within: within() };
        report.error(node.key.span, problem);
        is_complete = false;
    }
    for (name, from) in wires {
        if spec.inputs.iter().all(|input| input.name.value != name.value) {
            let hint = Hint::among(&name.value, spec.inputs.iter().map(|input| input.name.value.as_str()));
            report.error(name.span, Problem::UnknownKey { key: name.value.clone(), within: within(), hint });
        }
        if from.value.contains(INNER) {
            unknown("node or input", from, [], report);
            is_complete = false;
        }
    }
    is_complete
}

/// A pipeline with the names that it has as the part `name`.
fn placed(mut spec: PipelineSpec, name: &str, wires: &[(SpannedString, SpannedString)]) -> PipelineSpec {
    let prefixed = |inner: &str| format!("{name}{INNER}{inner}");
    let place = |reference: &mut SpannedString| match wires.iter().find(|(input, _)| input.value == reference.value) {
        Some((_, from)) => *reference = from.clone(),
        None => reference.value = prefixed(&reference.value),
    };
    for node in &mut spec.nodes {
        node.name.value = prefixed(&node.name.value);
        node.references().into_iter().for_each(place);
    }
    spec.outputs.iter_mut().map(|output| &mut output.from).for_each(place);
    spec
}
