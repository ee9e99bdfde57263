//! The plan of a run.

mod compare;
mod embed;

use anyflow_config::Dtype;
use indexmap::IndexMap;
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::descriptor::Role;
use crate::graph::{self, Act, Pipeline, ScorerNode, Slot, Vertex};
use crate::lower::{lifetimes, order};
use crate::plan::{
    Constant, Diffusion, Input, Model, Op, PLAN_FORMAT, RunPlan, ScorerConfig, Scoring, Step, Stream, Type, Value,
};
use crate::seeds::{self, Drawing};
use crate::source::Source;
use crate::spec::{Action, OutputSpec, PipelineSpec};

/// Makes the plan of a pipeline without errors; `None` if it has errors.
pub(crate) fn lower(pipeline: &Pipeline, source: &Source) -> Option<RunPlan> {
    let model = pipeline.model.plan()?;
    let graph = &pipeline.graph;
    let mut steps =
        Steps { pipeline, model: &model, steps: Vec::new(), scorers: IndexMap::new(), values: IndexMap::new() };
    let (inputs, constants) = steps.inputs()?;
    for index in order::ordered(graph, &pipeline.live) {
        steps.node(index)?;
    }
    let outputs = steps.outputs()?;
    let Steps { mut steps, scorers, mut values, .. } = steps;
    set_seeds(&mut steps, graph.spec);
    lifetimes::set_last_uses(&mut values, &steps);
    let bytes_per_row = lifetimes::peak_bytes(&values, &steps, &outputs, &model);
    let name = graph.spec.name.as_ref()?.value.clone();
    let source = source.path.clone();
    Some(RunPlan {
        format: PLAN_FORMAT,
        name,
        source,
        model,
        inputs,
        constants,
        scorers,
        values,
        steps,
        outputs,
        bytes_per_row,
    })
}

/// Gives each step that draws noise its seed.
fn set_seeds(steps: &mut [Step], spec: &PipelineSpec) {
    let written = |node: &str| match &spec.nodes.iter().find(|known| known.name.value == node)?.action {
        Some(Action::Diffuse(diffuse) | Action::Score(diffuse, _)) => diffuse.seed,
        _ => None,
    };
    let drawing = steps.iter().filter(|step| step.op.diffusion().is_some());
    let drawing: Vec<_> = drawing.map(|step| Drawing { node: &step.node, written: written(&step.node) }).collect();
    let seeds = seeds::of_nodes(0, &drawing);
    for (diffusion, seed) in steps.iter_mut().filter_map(|step| step.op.diffusion_mut()).zip(seeds) {
        diffusion.seed = seed;
    }
}

/// An array, the mask that hides a part of it, and what becomes of it.
struct Hidden {
    from: String,
    mask: String,
    to: String,
}

struct Steps<'g> {
    pipeline: &'g Pipeline<'g>,
    model: &'g Model,
    steps: Vec<Step>,
    scorers: IndexMap<String, ScorerConfig>,
    values: IndexMap<String, Value>,
}

impl Steps<'_> {
    fn inputs(&mut self) -> Option<(IndexMap<String, Input>, IndexMap<String, Constant>)> {
        let Pipeline { graph, live, inputs: types, .. } = self.pipeline;
        let (mut inputs, mut constants) = (IndexMap::new(), IndexMap::new());
        for (_, vertex) in graph.vertices().filter(|(index, _)| live[index.index()]) {
            let Vertex::Input(number) = vertex else { continue };
            let spec = &graph.spec.inputs[number];
            let kind = types[number].clone()?;
            let value = Value { kind: kind.clone(), made_by: None, last_use: None };
            self.values.insert(spec.name.value.clone(), value);
            let name = spec.name.value.clone();
            match &spec.value {
                Some(cell) => drop(constants.insert(name, Constant { cell: cell.value.clone(), kind })),
                None => drop(inputs.insert(name, Input { column: spec.column.value.clone(), kind })),
            }
        }
        Some((inputs, constants))
    }

    fn outputs(&mut self) -> Option<IndexMap<String, String>> {
        let mut outputs = IndexMap::new();
        for (index, vertex) in self.pipeline.graph.vertices() {
            if let Vertex::Output(output) = vertex {
                let value = self.read(index, &Slot::Output)?;
                let OutputSpec { column, dtype, .. } = &self.pipeline.graph.spec.outputs[output];
                outputs.insert(column.value.clone(), self.written(value, *dtype)?);
            }
        }
        Some(outputs)
    }

    /// The cells of an output. The numbers of a latent and of tokens become a list per row, and so do features and scores
    /// whose number type is chosen.
    fn written(&mut self, from: String, dtype: Option<Dtype>) -> Option<String> {
        let kind = &self.values.get(&from)?.kind;
        let Some(kind) = kind.as_numbers().or_else(|| dtype.map(|_| kind.clone())) else { return Some(from) };
        let dtype = dtype.unwrap_or_default();
        let to = if dtype == Dtype::F32 { format!("{from}.numbers") } else { format!("{from}.{dtype}") };
        if !self.values.contains_key(&to) {
            let node = from.split('.').next().unwrap_or(&from).to_owned();
            let op = Op::WriteNumbers { from, to: to.clone(), dtype };
            self.push(&node, op, vec![(to.clone(), kind.of_dtype(dtype))]);
        }
        Some(to)
    }

    /// The value that arrives at a slot of a vertex.
    fn read(&self, index: NodeIndex, slot: &Slot) -> Option<String> {
        let mut edges = self.pipeline.graph.edges.edges_directed(index, Direction::Incoming);
        let edge = edges.find(|edge| edge.weight().slot == *slot)?;
        let name = &self.pipeline.graph.name(self.pipeline.graph.edges[edge.source()]).value;
        Some(match &edge.weight().port {
            Some(port) => format!("{name}.{port}"),
            None => name.clone(),
        })
    }

    fn node(&mut self, index: NodeIndex) -> Option<()> {
        let Vertex::Node(number) = self.pipeline.graph.edges[index] else { return None };
        let name = self.pipeline.graph.spec.nodes[number].name.value.clone();
        match self.pipeline.graph.acts[number].clone()? {
            Act::Code { role, stream } => {
                let from = self.read(index, &Slot::From)?;
                let mask = self.mask(index);
                self.code(name, role, stream, from, mask)
            }
            Act::Embed { prompt, .. } => {
                let from = self.read(index, &Slot::From)?;
                self.embed(index, name, prompt, from)
            }
            Act::Diffuse(diffusion) => self.diffuse(name, index, diffusion),
            Act::Score(diffusion, scoring) => self.score(name, index, diffusion, scoring),
            Act::Compare(pair) => self.compare(index, name, pair),
            Act::Judge(judge) => {
                let from = self.read(index, &Slot::From)?;
                self.judge(name, index, judge, from)
            }
        }
    }

    fn push(&mut self, node: &str, op: Op, made: Vec<(String, Type)>) {
        let made_by = Some(self.steps.len());
        self.steps.push(Step { node: node.to_string(), op });
        for (id, kind) in made {
            self.values.insert(id, Value { kind, made_by, last_use: None });
        }
    }

    /// The array of the mask of what a node hides.
    fn mask(&self, index: NodeIndex) -> Option<String> {
        let mask = self.read(index, &Slot::Hide)?;
        let array = format!("{mask}.array");
        // The array of a stream without a module is its latent.
        Some(if self.values.contains_key(&array) { array } else { mask })
    }

    /// A node between cells and a latent: the codec works on the cells, the module (if any) on the latent.
    fn code(&mut self, node: String, role: Role, stream: String, from: String, mask: Option<String>) -> Option<()> {
        let plan = self.model.streams.get(&stream)?;
        let latent = Type::latent(&plan.modality, &stream, plan.latent.clone());
        let between = format!("{node}.array");
        match (role, &plan.module) {
            (Role::Encode, None) => {
                let to = if mask.is_some() { between.clone() } else { node.clone() };
                let op = Op::ReadCells { stream, from, to: to.clone() };
                self.push(&node, op, vec![(to, latent.clone())]);
                if let Some(mask) = mask {
                    self.hide(&node, Hidden { from: between, mask, to: node.clone() }, &plan.array, latent);
                }
            }
            (Role::Encode, Some(_)) => {
                let op = Op::ReadCells { stream: stream.clone(), from, to: between.clone() };
                self.push(&node, op, vec![(between.clone(), plan.array.clone())]);
                let between = match mask {
                    None => between,
                    Some(mask) => {
                        let to = format!("{node}.visible");
                        let hidden = Hidden { from: between, mask, to: to.clone() };
                        self.hide(&node, hidden, &plan.array, plan.array.clone());
                        to
                    }
                };
                let op = Op::Module { stream, role: plan.by, from: between, to: node.clone() };
                self.push(&node, op, vec![(node.clone(), latent)]);
            }
            (_, None) => self.write(&node, stream, from, plan),
            (_, Some(_)) => {
                let op = Op::Module { stream: stream.clone(), role, from, to: between.clone() };
                self.push(&node, op, vec![(between.clone(), plan.array.clone())]);
                self.write(&node, stream, between, plan);
            }
        }
        Some(())
    }

    /// Hides a part of an array: it becomes the middle of its range.
    fn hide(&mut self, node: &str, Hidden { from, mask, to }: Hidden, array: &Type, made: Type) {
        let fill = array.middle();
        self.push(node, Op::Hide { from, mask, fill, to: to.clone() }, vec![(to, made)]);
    }

    fn judge(&mut self, node: String, index: NodeIndex, judge: ScorerNode, from: String) -> Option<()> {
        let stream = judge.scorer.stream.clone();
        let plan = self.model.streams.get(&stream)?;
        let array = format!("{node}.array");
        let op = Op::ReadCells { stream, from, to: array.clone() };
        self.push(&node, op, vec![(array.clone(), plan.array.clone())]);
        let read = self.pipeline.read_ports(index);
        let port = |port: &str| read.iter().any(|read| read == port).then(|| format!("{node}.{port}"));
        let [label, scores, features] = [graph::LABEL, graph::SCORES, graph::FEATURES].map(port);
        let made = [(&label, graph::LABEL), (&scores, graph::SCORES), (&features, graph::FEATURES)].into_iter();
        let made =
            made.filter_map(|(id, port)| Some((id.clone()?, judge.type_of_port(port, &plan.modality)))).collect();
        self.scorers.insert(node.clone(), judge.scorer);
        self.push(&node, Op::Judge { from: array, names: judge.names, label, scores, features }, made);
        Some(())
    }

    fn write(&mut self, node: &str, stream: String, from: String, plan: &Stream) {
        let op = Op::WriteCells { stream, from, to: node.to_string() };
        self.push(node, op, vec![(node.to_string(), plan.cells.clone())]);
    }

    fn diffuse(&mut self, node: String, index: NodeIndex, mut diffusion: Diffusion) -> Option<()> {
        let read = self.pipeline.read_ports(index);
        let mut made = Vec::new();
        let mut to = IndexMap::new();
        for (stream, role) in diffusion.streams.0.iter_mut().filter(|(_, role)| role.is_output()) {
            if !read.contains(stream) {
                *role = role.clone().discarded();
                continue;
            }
            let id = format!("{node}.{stream}");
            let plan = self.model.streams.get(stream)?;
            made.push((id.clone(), Type::latent(&plan.modality, stream, plan.latent.clone())));
            to.insert(stream.clone(), id);
        }
        self.push(&node, Op::Diffuse { diffusion, to }, made);
        Some(())
    }

    fn score(&mut self, node: String, index: NodeIndex, diffusion: Diffusion, scoring: Scoring) -> Option<()> {
        let modality = &self.model.streams.get(&scoring.stream)?.modality;
        let read = self.pipeline.read_ports(index);
        let port = |port: &str| read.iter().any(|read| read == port).then(|| format!("{node}.{port}"));
        let label = port(graph::LABEL);
        let scores = port(graph::SCORES);
        let made = [(&label, graph::LABEL), (&scores, graph::SCORES)];
        let made = made.into_iter().filter_map(|(id, port)| Some((id.clone()?, graph::type_of_port(port, modality))));
        let made: Vec<_> = made.collect();
        self.push(&node, Op::Score { diffusion, scoring, label, scores }, made);
        Some(())
    }
}
