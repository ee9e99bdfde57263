//! Rule: declared things are used. Unused ones cause a warning and are left out of the plan.

use petgraph::graph::NodeIndex;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Act, Evaluation, Pipeline, Training, Vertex};
use crate::problem::Caution;
use crate::source::SpannedString;
use crate::spec::INNER;

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
                unused(what, name, " by any output and is left out", report);
            }
        }
    }

    /// Warns about tables and scorers that no stage uses.
    fn training(&self, training: &Training, report: &mut Report) {
        let spec = training.spec;
        let reads = |name: &str| spec.stages.iter().flat_map(|stage| &stage.data).any(|data| data.value == name);
        let trains = |name: &str| spec.stages.iter().flat_map(|stage| &stage.train).any(|train| train.value == name);
        for table in spec.data.iter().filter(|table| !reads(&table.name.value)) {
            unused("table", &table.name, " by any stage", report);
        }
        for scorer in spec.scorers.iter().filter(|scorer| !trains(&scorer.name.value)) {
            unused("scorer", &scorer.name, " by any stage", report);
        }
    }

    /// Warns about judges that no task needs.
    fn evaluation(&self, evaluation: &Evaluation, report: &mut Report) {
        let spec = evaluation.spec;
        let generated = || spec.tasks.iter().chain(&spec.conflicts).flat_map(|task| &task.generate);
        let is_needed = |name: &str| spec.subsets.is_some() || generated().any(|stream| stream.value == name);
        for judge in spec.judges.iter().filter(|judge| !is_needed(&judge.stream.value)) {
            unused("judge", &judge.stream, " by any task", report);
        }
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
    for stream in diffusion.lists.generate.iter().filter(|stream| !read.contains(stream)) {
        let name = pipeline.graph.name(vertex);
        let port = SpannedString::new(format!("{}.{stream}", name.value), name.span);
        unused("generated stream", &port, " and is discarded", report);
    }
}

fn unused(what: &str, name: &SpannedString, consequence: &str, report: &mut Report) {
    let consequence = consequence.into();
    report.warning(name.span, Caution::Unused { what: what.into(), name: name.value.clone(), consequence });
}
