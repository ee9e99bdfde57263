//! A plan as boxes and arrows. Mermaid and SVG draw the same diagram.

use anyflow_config::StageOptions;
use indexmap::IndexMap;

use crate::component::word;
use crate::explain::stages::trained;
use crate::explain::words::{classification, list, source};
use crate::plan::{EvalPlan, Generated, Job, Op, RoleValue, RunPlan, TrainPlan};

/// Boxes and arrows between them.
#[derive(Debug, Default)]
pub(crate) struct Diagram {
    pub title: String,
    pub boxes: Vec<Box>,
    pub arrows: Vec<Arrow>,
}

/// A box with lines in it.
#[derive(Debug)]
pub(crate) struct Box {
    pub lines: Vec<String>,
    pub look: Look,
}

/// The meaning of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Data: a column, a file, a table.
    Data,
    /// A codec or module at work.
    Work,
    /// Diffusion, training, or a task.
    Engine,
}

/// An arrow between boxes, by their index.
#[derive(Debug)]
pub(crate) struct Arrow {
    pub from: usize,
    pub to: usize,
    pub label: String,
}

impl Diagram {
    fn add(&mut self, look: Look, lines: Vec<String>) -> usize {
        self.boxes.push(Box { lines, look });
        self.boxes.len() - 1
    }

    fn connect(&mut self, from: Option<usize>, to: usize, label: &str) {
        if let Some(from) = from {
            self.arrows.push(Arrow { from, to, label: label.to_string() });
        }
    }
}

/// The diagram of a plan.
pub(crate) fn of(job: &Job) -> Diagram {
    match job {
        Job::Run(plan) => run(plan),
        Job::Train(plan) => training(plan),
        Job::Eval(plan) => evaluation(plan),
    }
}

fn run(plan: &RunPlan) -> Diagram {
    let mut diagram = Diagram { title: plan.name.clone(), ..Diagram::default() };
    let mut makers: IndexMap<&str, usize> = IndexMap::new();
    for (name, input) in &plan.inputs {
        let index = diagram.add(Look::Data, vec![name.clone(), format!("column {}", input.column)]);
        makers.insert(name, index);
    }
    for (name, constant) in &plan.constants {
        let index = diagram.add(Look::Data, vec![name.clone(), format!("value {}", constant.cell)]);
        makers.insert(name, index);
    }
    let mut nodes: IndexMap<&str, usize> = IndexMap::new();
    for step in &plan.steps {
        let (look, line) = step_line(&step.op);
        let index = *nodes.entry(&step.node).or_insert_with(|| diagram.add(look, vec![step.node.clone()]));
        diagram.boxes[index].lines.push(line);
        for (label, from) in reads(&step.op) {
            // Values between the steps of one node have no arrow.
            if let Some(maker) = makers.get(from).filter(|maker| **maker != index) {
                diagram.connect(Some(*maker), index, &label);
            }
        }
        makers.extend(step.op.makes().into_iter().map(|id| (id, index)));
    }
    for (column, value) in &plan.outputs {
        let index = diagram.add(Look::Data, vec![column.clone(), "output column".into()]);
        diagram.connect(makers.get(value.as_str()).copied(), index, "");
    }
    diagram
}

fn step_line(op: &Op) -> (Look, String) {
    match op {
        Op::ReadCells { stream, .. } => (Look::Work, format!("read {stream}")),
        Op::WriteCells { stream, .. } => (Look::Work, format!("write {stream}")),
        Op::ReadNumbers { .. } => (Look::Work, "read numbers".into()),
        Op::WriteNumbers { .. } => (Look::Work, "write numbers".into()),
        Op::Hide { .. } => (Look::Work, "hide".into()),
        Op::Compare { scorer, .. } => (Look::Work, format!("compare by {scorer}")),
        Op::Join { .. } => (Look::Work, "side by side".into()),
        Op::Judge { .. } => (Look::Work, "score".into()),
        Op::Module { stream, role, .. } => (Look::Work, format!("{} {stream}", word(*role))),
        Op::Diffuse { diffusion, to } => {
            (Look::Engine, format!("diffuse {}: {}", list(to.keys()), diffusion.sampler.sampler.name()))
        }
        Op::Score { scoring, .. } => (Look::Engine, classification(scoring)),
    }
}

/// The values that a step reads, with the stream if there are several.
fn reads(op: &Op) -> Vec<(String, &str)> {
    match op {
        Op::ReadCells { from, .. }
        | Op::WriteCells { from, .. }
        | Op::ReadNumbers { from, .. }
        | Op::WriteNumbers { from, .. }
        | Op::Judge { from, .. }
        | Op::Module { from, .. } => {
            vec![(from.split_once('.').map_or("", |(_, port)| port).to_string(), from)]
        }
        Op::Hide { from, mask, .. } => vec![(String::new(), from), ("mask".into(), mask)],
        Op::Compare { from, against, .. } => {
            std::iter::once(from).chain(against).map(|from| (String::new(), from.as_str())).collect()
        }
        Op::Join { from, .. } => from.iter().map(|from| (String::new(), from.as_str())).collect(),
        Op::Diffuse { diffusion, .. } | Op::Score { diffusion, .. } => {
            let label = |read: RoleValue| match read.key {
                "condition" | "instead" => read.key.to_string(),
                key => format!("{key} {}", read.stream),
            };
            let planes = diffusion.planes.iter().map(|(stream, from)| (format!("plane {stream}"), from.as_str()));
            diffusion.streams.reads().map(|read| (label(read), read.from)).chain(planes).collect()
        }
    }
}

fn training(plan: &TrainPlan) -> Diagram {
    let mut diagram = Diagram { title: plan.name.clone(), ..Diagram::default() };
    let sources = sources(&mut diagram, &plan.sources, &plan.generated);
    let mut tables: IndexMap<&str, usize> = IndexMap::new();
    for (name, table) in &plan.data {
        let index = diagram.add(Look::Data, vec![name.clone(), list(table.columns.keys())]);
        tables.insert(name, index);
        for source in used(table.columns.values().chain(&table.class).map(|column| column.source.as_str())) {
            diagram.connect(sources.get(source).copied(), index, "");
        }
    }
    for stage in &plan.stages {
        let StageOptions { steps, batch, .. } = &stage.options;
        let amount = steps.map_or("all rows".into(), |steps| format!("{steps} x {batch}"));
        let lines = vec![stage.name.clone(), trained(&stage.train), amount];
        let index = diagram.add(Look::Engine, lines);
        diagram.connect(tables.get(stage.data.as_str()).copied(), index, "");
    }
    diagram
}

fn evaluation(plan: &EvalPlan) -> Diagram {
    let mut diagram = Diagram { title: plan.name.clone(), ..Diagram::default() };
    let sources = sources(&mut diagram, &plan.sources, &plan.generated);
    let data = diagram.add(Look::Data, vec!["data".into(), list(plan.data.columns.keys())]);
    for source in used(plan.data.columns.values().chain(&plan.data.class).map(|column| column.source.as_str())) {
        diagram.connect(sources.get(source).copied(), data, "");
    }
    for (name, task) in &plan.tasks {
        let what =
            task.score.as_ref().map_or_else(|| format!("generate {}", list(task.streams.outputs())), classification);
        let index = diagram.add(Look::Engine, vec![name.clone(), what]);
        let observed = task.streams.reads().filter(|read| read.key == "observe").map(|read| read.stream);
        diagram.connect(Some(data), index, &list(observed));
    }
    diagram
}

fn sources<'p>(
    diagram: &mut Diagram,
    sources: &'p IndexMap<String, Vec<String>>,
    generated: &IndexMap<String, Generated>,
) -> IndexMap<&'p str, usize> {
    let lines = |name: &String, paths: &[String]| vec![name.clone(), source(name, paths, generated)];
    sources.iter().map(|(name, paths)| (name.as_str(), diagram.add(Look::Data, lines(name, paths)))).collect()
}

fn used<'c>(names: impl Iterator<Item = &'c str>) -> Vec<&'c str> {
    let mut used = Vec::new();
    for name in names {
        if !used.contains(&name) {
            used.push(name);
        }
    }
    used
}
