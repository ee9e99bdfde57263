//! Rule: the sizes of a network fit together.

use anyflow_config::Network;
use anyflow_config::network::Misfit;

use crate::error::Report;
use crate::problem::Problem;
use crate::surface::Fields;

/// True if the sizes of a denoiser's network fit together, as the engine requires.
pub(super) fn sizes_fit(fields: &Fields, network: &Network, prompted: bool, report: &mut Report) -> bool {
    let Some(entry) = fields.entry("network") else { return true };
    let misfits = network.misfits(prompted);
    let fits = misfits.is_empty();
    for Misfit { key, value, bound } in misfits {
        let what = format!("`{key}` of the network");
        report.error(entry.node.span, Problem::OutOfBounds { what, value, bound });
    }
    fits
}
