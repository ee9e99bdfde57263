//! Rule: `given` of a node is about streams that it observes as a whole.

use anyflow_config::Given;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::Pipeline;
use crate::plan::StreamRole;
use crate::problem::Caution;

pub(super) struct GivenStreams;

impl Rule for GivenStreams {
    fn pipeline(&self, pipeline: &Pipeline, report: &mut Report) {
        for (_, spec, diffusion) in pipeline.diffusions() {
            let observes = diffusion.streams.names(|role| matches!(role, StreamRole::Observe { .. })).next().is_some();
            if spec.roles.given == Some(Given::Noised) && !observes {
                let reason = "no stream is observed as a whole".into();
                report.warning(spec.span, Caution::NoEffect { key: "given".into(), reason });
            }
        }
    }
}
