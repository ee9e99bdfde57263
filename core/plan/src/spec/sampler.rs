//! A sampler as written, which may leave keys to the sampler of its denoiser.

use anyflow_config::{Kinds, Sampling};

use crate::error::Report;
use crate::include;
use crate::source::Span;
use crate::surface::{self, Fields};
use crate::yaml::Node;

/// A sampler as written; without a node nothing is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct SamplerSpec(Option<Node>);

impl SamplerSpec {
    /// The key `sampler`.
    pub fn read(fields: &Fields) -> SamplerSpec {
        SamplerSpec(fields.entry("sampler").map(|entry| entry.node.clone()))
    }

    /// True if something is written.
    pub fn is_written(&self) -> bool {
        self.0.is_some()
    }

    /// The sampler of a diffusion. Its keys replace those of the denoiser's own sampler, unless it is of another kind. A wrong
    /// one is reported; a missing key underlines `owner`.
    pub fn resolve(&self, own: &SamplerSpec, owner: Span, report: &mut Report) -> Option<Sampling> {
        let node = match (&self.0, &own.0) {
            (Some(written), Some(own)) if !include::replaces(own, written) => {
                Some(include::merged(own.clone(), written.clone()))
            }
            (Some(written), _) => Some(written.clone()),
            (None, own) => own.clone(),
        };
        let read = surface::fill(Sampling::FAMILY, node.as_ref(), owner, report)?;
        surface::value(read, "the sampler", owner, report)
    }
}
