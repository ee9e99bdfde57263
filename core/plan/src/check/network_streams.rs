//! Rule: the network of a denoiser can take its streams as input.

use anyflow_config::Network;
use anyflow_config::network::{Architecture, Coupled, DualStream, Part};
use indexmap::IndexMap;

use crate::check::Rule;
use crate::error::Report;
use crate::graph::ModelGraph;
use crate::problem::{CodeEntry, Hint, Problem, problems};
use crate::source::SpannedString;
use crate::spec::{DenoiserSpec, ModelSpec};

problems! {
    /// What can be wrong with the streams of a network.
    pub(crate) enum ShapeProblem {
        /// A network cannot take the streams of its denoiser as input.
        /// Example: `network: {kind: unet}` over a stream with the latent [24].
        /// Cure: Use another kind of network, or change `latent` of the streams.
        #[error("network `{network}` needs {wanted}; {found}")]
        NetworkStreams { network: String, wanted: String, found: String },
        /// A network with `parts` has no network for a stream of its denoiser.
        /// Example: `over: [x, y]` with `parts: {x: {kind: unet}}`.
        /// Cure: Add a network for the stream under `parts`, or remove the stream from `over`.
        #[error("`parts` of denoiser `{denoiser}` has no network for stream `{stream}`")]
        NoPart { denoiser: String, stream: String },
    }
}

pub(super) struct NetworkStreams;

impl Rule for NetworkStreams {
    fn model(&self, spec: &ModelSpec, model: &ModelGraph, report: &mut Report) {
        for denoiser in &spec.denoisers {
            match &denoiser.network {
                Some(Network::Part(part)) => check(part, &denoiser.over, model, report),
                Some(Network::Coupled(Coupled { parts, .. }) | Network::DualStream(DualStream { parts, .. })) => {
                    check_parts(parts, denoiser, model, report);
                }
                None => {}
            }
        }
    }

    fn codes(&self) -> Vec<CodeEntry> {
        ShapeProblem::codes()
    }
}

/// Refuses streams without a network, and networks without a stream.
fn check_parts(parts: &IndexMap<String, Part>, denoiser: &DenoiserSpec, model: &ModelGraph, report: &mut Report) {
    let name = &denoiser.name.value;
    for stream in &denoiser.over {
        match parts.get(&stream.value) {
            Some(part) => check(part, std::slice::from_ref(stream), model, report),
            None => {
                let problem = ShapeProblem::NoPart { denoiser: name.clone(), stream: stream.value.clone() };
                report.error(stream.span, problem);
            }
        }
    }
    let over = || denoiser.over.iter().map(|stream| stream.value.as_str());
    for stranger in parts.keys().filter(|part| !over().any(|stream| stream == part.as_str())) {
        let owner = format!("denoiser `{name}`");
        let hint = Hint::among(stranger, over());
        let what = "stream".into();
        report.error(denoiser.name.span, Problem::NotThere { owner, what, name: stranger.clone(), hint });
    }
}

/// Refuses streams that one network cannot take as input together. Streams with errors of their own are skipped.
fn check(network: &Part, over: &[SpannedString], model: &ModelGraph, report: &mut Report) {
    let known: Vec<_> = over.iter().filter_map(|name| Some((name, model.shape(&name.value)?))).collect();
    let Some((first, first_shape)) = known.first() else { return };
    for (name, shape) in &known {
        let Some(wanted) = network.needs(shape, first_shape) else { continue };
        let mut found = format!("`{}` is {shape:?}", name.value);
        if network.needs(shape, shape).is_none() {
            found.push_str(&format!(", `{}` is {first_shape:?}", first.value));
        }
        report.error(name.span, ShapeProblem::NetworkStreams { network: network.name().to_string(), wanted, found });
    }
}
