//! Rule: the network of a denoiser can take its streams as input.

use anyflow_config::network::{Architecture, Part};

use crate::error::Report;
use crate::graph::model_graph::{Streams, latent};
use crate::problem::problems;
use crate::source::SpannedString;

problems! {
    /// What can be wrong with the streams of a network.
    pub(crate) enum ShapeProblem {
        /// A network cannot take the streams of its denoiser as input.
        /// Example: `network: {kind: unet}` over a stream with the latent [24].
        /// Cure: Use another kind of network, or change `latent` of the streams.
        #[error("network `{network}` needs {wanted}; {found}")]
        NetworkStreams { network: String, wanted: String, found: String },
    }
}

/// Refuses streams that one network cannot take as input together. Streams with errors of their own are skipped.
pub(super) fn check(network: &Part, over: &[SpannedString], streams: &Streams, report: &mut Report) {
    let known: Vec<_> = over.iter().filter_map(|name| Some((name, latent(streams, &name.value)?))).collect();
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
