//! Rule: `given` of a node is about streams that it observes as a whole.

use anyflow_config::Given;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::Pipeline;
use crate::plan::StreamRole;
use crate::problem::{CodeEntry, problems};

problems! {
    /// A noise level of nothing.
    pub(crate) enum GivenProblem {
        /// `given` is about streams that are observed as a whole, and the node observes none.
        /// Example: `given: noised` with `observe: {x: {from: seen, mask: part}}`.
        /// Cure: Remove `given`, or observe a stream without a mask.
        #[error("`given` has no effect: no stream is observed as a whole")]
        GivenWithoutEffect {},
    }
}

pub(super) struct GivenStreams;

impl Rule for GivenStreams {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        for (_, spec, diffusion) in pipeline.diffusions() {
            let observes = diffusion.streams.names(|role| matches!(role, StreamRole::Observe { .. })).next().is_some();
            if spec.roles.given == Some(Given::Noised) && !observes {
                report.warning(spec.span, GivenProblem::GivenWithoutEffect {});
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        GivenProblem::codes()
    }
}
