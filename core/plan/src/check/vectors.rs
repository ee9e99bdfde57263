//! Rule: vectors join the time of a denoiser whose network has a place for them.

use anyflow_config::network::Architecture;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::problem::{CodeEntry, problems};
use crate::spec::ModelSpec;

problems! {
    /// What can be wrong with vectors that join the time.
    pub(crate) enum VectorProblem {
        /// The network of a denoiser has no place for vectors beside its time.
        /// Example: `vectors: {from: [words.pooled]}` with `network: {kind: residual-mlp}`.
        /// Cure: Use a `unet` over all streams of the denoiser, or remove `vectors`.
        #[error("network `{network}` of denoiser `{denoiser}` cannot take vectors; only a `unet` can")]
        VectorsNotTaken { denoiser: String, network: &'static str },
    }
}

pub(super) struct Vectors;

impl Rule for Vectors {
    fn model(&self, spec: &ModelSpec, _model: &ModelGraph, report: &mut Report) {
        for denoiser in spec.denoisers.iter().filter(|denoiser| denoiser.vectors.is_some()) {
            let Some(network) = &denoiser.network else { continue };
            if !network.whole().is_some_and(Architecture::takes_vectors) {
                let name = denoiser.name.value.clone();
                let problem = VectorProblem::VectorsNotTaken { denoiser: name, network: network.name() };
                report.error(denoiser.name.span, problem);
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        VectorProblem::codes()
    }
}
