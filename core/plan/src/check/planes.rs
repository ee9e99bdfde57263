//! Rule: the network of a denoiser has room for its planes.

use anyflow_config::network::Architecture;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::problem::{CodeEntry, problems};
use crate::source::SpannedString;
use crate::spec::{DenoiserSpec, ModelSpec};

problems! {
    /// What can be wrong with planes.
    pub(crate) enum PlaneProblem {
        /// The network of a denoiser cannot take planes beside the channels of its streams.
        /// Example: `planes: [mask]` with `network: {kind: transformer}`.
        /// Cure: Use a `unet` over all streams of the denoiser, or remove `planes`.
        #[error("network `{network}` of denoiser `{denoiser}` cannot take planes; only a `unet` can")]
        PlanesNotTaken { denoiser: String, network: &'static str },
        /// A plane has another size than the streams that it is concatenated to.
        /// Example: a plane [1, 32, 32] beside a stream [4, 64, 64].
        /// Cure: Change `latent` of the plane's stream.
        #[error("network `{network}` needs {wanted}; plane `{plane}` is {found:?}, stream `{stream}` is {shape:?}")]
        PlaneShape {
            network: &'static str, wanted: String, plane: String, found: Vec<i64>, stream: String, shape: Vec<i64>,
        },
    }
}

pub(super) struct Planes;

impl Rule for Planes {
    fn model(&self, spec: &ModelSpec, model: &ModelGraph, report: &mut Report) {
        for denoiser in spec.denoisers.iter().filter(|denoiser| !denoiser.planes.is_empty()) {
            check(denoiser, model, report);
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        PlaneProblem::codes()
    }
}

fn check(denoiser: &DenoiserSpec, model: &ModelGraph, report: &mut Report) {
    let Some(network) = &denoiser.network else { return };
    let Some(part) = network.whole().filter(|part| part.takes_planes()) else {
        let name = denoiser.name.value.clone();
        report.error(denoiser.name.span, PlaneProblem::PlanesNotTaken { denoiser: name, network: network.name() });
        return;
    };
    let shape = |name: &SpannedString| Some((name.value.clone(), model.shape(&name.value)?.to_vec()));
    let Some((stream, shape_of_stream)) = denoiser.over.first().and_then(shape) else { return };
    for (name, found) in denoiser.planes.iter().filter_map(|plane| Some((plane, model.shape(&plane.value)?.to_vec()))) {
        if let Some(wanted) = part.needs(&found, &shape_of_stream) {
            let problem = PlaneProblem::PlaneShape {
                network: network.name(),
                wanted,
                plane: name.value.clone(),
                found,
                stream: stream.clone(),
                shape: shape_of_stream.clone(),
            };
            report.error(name.span, problem);
        }
    }
}
