//! Rule: declared things are used. Unused ones cause a warning and are left out of the plan.

use petgraph::graph::NodeIndex;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Act, Evaluation, Pipeline, Training, Vertex};
use crate::problem::{CodeEntry, problems};
use crate::spec::INNER;

problems! {
    /// Declared things that nothing uses.
    pub(crate) enum UnusedProblem {
        /// A node or an input leads to no output, so it does not run.
        /// Example: A node whose ports no other node and no output reads.
        /// Cure: Read it, add it to `outputs`, or remove it.
        #[error("{what} `{name}` is not used by any output and is left out")]
        UnusedNode { what: &'static str, name: String },
        /// A node generates a stream that nothing reads.
        /// Example: `diffuse: [x, y]`, where only `NODE.x` is read.
        /// Cure: Read the stream, or list it under `marginalize`.
        #[error("generated stream `{node}.{stream}` is not used and is discarded")]
        UnusedStream { node: String, stream: String },
        /// No stage reads a table.
        /// Example: A table `words` under `data`, and no stage with `data: words`.
        /// Cure: Read it in a stage, or remove it.
        #[error("table `{table}` is not used by any stage")]
        UnusedTable { table: String },
        /// No stage trains a scorer.
        /// Example: A scorer `photo` under `scorers`, and no stage with `train: photo`.
        /// Cure: Train it in a stage, or remove it.
        #[error("scorer `{scorer}` is not used by any stage")]
        UnusedScorer { scorer: String },
        /// No task generates the stream of a judge.
        /// Example: `judges: {x: {score: PLUGIN/module}}`, and no task with `generate: [x]`.
        /// Cure: Generate the stream in a task, or remove the judge.
        #[error("judge `{judge}` is not used by any task")]
        UnusedJudge { judge: String },
    }
}

pub(super) struct Unused;

impl Rule for Unused {
    /// Warns about nodes and inputs that reach no output, and about generated streams that nothing reads. A pipeline that
    /// is used as a part is one node: it may make more than is read.
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        for (index, vertex) in pipeline.graph.vertices() {
            let what = match vertex {
                Vertex::Input(_) => "input",
                Vertex::Node(node) if pipeline.graph.spec.nodes[node].is_inner() => continue,
                Vertex::Node(_) => "node",
                Vertex::Output(_) => continue,
            };
            let name = pipeline.graph.name(vertex);
            if pipeline.live[index.index()] {
                ports(pipeline, index, vertex, report);
            } else if !has_live_part(pipeline, &name.value) {
                report.warning(name.span, UnusedProblem::UnusedNode { what, name: name.value.clone() });
            }
        }
    }

    /// Warns about tables and scorers that no stage uses.
    fn training(&self, training: &Training, report: &mut Report) {
        let spec = training.spec;
        let reads = |name: &str| spec.stages.iter().flat_map(|stage| &stage.data).any(|data| data.value == name);
        let trains = |name: &str| spec.stages.iter().flat_map(|stage| &stage.train).any(|train| train.value == name);
        for table in spec.data.iter().filter(|table| !reads(&table.name.value)) {
            report.warning(table.name.span, UnusedProblem::UnusedTable { table: table.name.value.clone() });
        }
        for scorer in spec.scorers.iter().filter(|scorer| !trains(&scorer.name.value)) {
            report.warning(scorer.name.span, UnusedProblem::UnusedScorer { scorer: scorer.name.value.clone() });
        }
    }

    /// Warns about judges that no task needs.
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        let generated = || {
            spec.tasks
                .iter()
                .chain(&spec.conflicts)
                .filter(|task| task.score.is_none())
                .flat_map(|task| &task.roles.generate)
        };
        let is_needed = |name: &str| spec.subsets.is_some() || generated().any(|stream| stream.value == name);
        for judge in spec.judges.iter().filter(|judge| !is_needed(&judge.stream.value)) {
            report.warning(judge.stream.span, UnusedProblem::UnusedJudge { judge: judge.stream.value.clone() });
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        UnusedProblem::codes()
    }
}

/// True if a node of the pipeline that the node `name` uses reaches an output.
fn has_live_part(pipeline: &Pipeline, name: &str) -> bool {
    let Pipeline { graph, live, .. } = pipeline;
    let is_part = |inner: &str| inner.strip_prefix(name).is_some_and(|rest| rest.starts_with(INNER));
    graph.vertices().any(|(index, vertex)| live[index.index()] && is_part(&graph.name(vertex).value))
}

fn ports(pipeline: &Pipeline, index: NodeIndex, vertex: Vertex, report: &mut Report) {
    let Vertex::Node(node) = vertex else { return };
    let Some(Act::Diffuse(diffusion)) = &pipeline.graph.acts[node] else { return };
    let read = pipeline.read_ports(index);
    for stream in diffusion.streams.outputs().filter(|stream| !read.contains(stream)) {
        let name = pipeline.graph.name(vertex);
        let (node, stream) = (name.value.clone(), stream.clone());
        report.warning(name.span, UnusedProblem::UnusedStream { node, stream });
    }
}
