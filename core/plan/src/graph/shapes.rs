//! Rule: the network of a denoiser can take its streams as input.

use anyflow_config::network::{Architecture, Part};

use crate::error::Report;
use crate::graph::model::{Streams, latent};
use crate::problem::Problem;
use crate::source::SpannedString;

/// Refuses streams that one network cannot take as input together. Streams with errors of their own are skipped.
pub(super) fn check(network: &Part, over: &[SpannedString], streams: &Streams, report: &mut Report) {
    let known: Vec<_> = over.iter().filter_map(|name| Some((name, latent(streams, &name.value)?))).collect();
    let Some((first, first_shape)) = known.first() else { return };
    for (name, shape) in &known {
        let Some(needs) = network.needs(shape, first_shape) else { continue };
        let mut text = format!("network `{}` needs {needs}; `{}` is {shape:?}", network.name(), name.value);
        if network.needs(shape, shape).is_none() {
            text.push_str(&format!(", `{}` is {first_shape:?}", first.value));
        }
        report.error(name.span, Problem::Impossible { text });
    }
}
