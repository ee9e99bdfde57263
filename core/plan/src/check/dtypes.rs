//! Rule: an output whose number type is chosen holds numbers.

use petgraph::visit::EdgeRef;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::{Act, LABEL, Pipeline, Vertex, leaving};
use crate::problem::{CodeEntry, problems};

problems! {
    /// What can be wrong with the number type of an output.
    pub(crate) enum DtypeProblem {
        /// An output with `dtype` holds cells that are no numbers of a network.
        /// Example: `outputs: {digit: {from: label, dtype: f16}}`, where `label` decodes classes.
        /// Cure: Write the name alone, as in `digit: label`. A `dtype` is for latents, tokens, vectors, features and scores.
        #[error("output `{output}` has a `dtype`, but `{from}` is {found}; write `{output}: {from}`")]
        DtypeOfCells { output: String, from: String, found: String },
    }
}

pub(super) struct Dtypes;

impl Rule for Dtypes {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        let Pipeline { graph, model, inputs, .. } = pipeline;
        for edge in graph.edges.edge_references() {
            let Vertex::Output(index) = graph.edges[edge.target()] else { continue };
            let output = &graph.spec.outputs[index];
            let (from, port) = (graph.edges[edge.source()], edge.weight().port.as_deref());
            let Some(found) = leaving(graph, from, port, inputs, model).filter(|_| output.dtype.is_some()) else {
                continue;
            };
            let is_scored = |node: usize| {
                let act = graph.acts[node].as_ref();
                matches!(act, Some(Act::Score(..) | Act::Judge(_) | Act::Compare(_))) && port != Some(LABEL)
            };
            if found.as_numbers().is_some() || matches!(from, Vertex::Node(node) if is_scored(node)) {
                continue;
            }
            let (output, written) = (output.column.value.clone(), output.from.value.clone());
            let problem = DtypeProblem::DtypeOfCells { output, from: written, found: found.to_string() };
            report.error(edge.weight().written.span, problem);
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        DtypeProblem::codes()
    }
}
