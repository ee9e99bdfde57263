//! Features that are read at the sites of a network.

use anyflow_config::{Site, SiteSpec};
use tch::Tensor;

use crate::{EngineError, Result, TensorExt};

/// The site of this name.
///
/// # Errors
/// The network has no such site.
pub(crate) fn named(known: &[SiteSpec], name: &str) -> Result<SiteSpec> {
    SiteSpec::named(known, name).cloned().ok_or_else(|| EngineError::Unknown {
        what: "site",
        name: name.to_string(),
        known: known.iter().map(|spec| spec.site.to_string()).collect(),
    })
}

/// Collects the features of the requested sites.
pub(crate) struct Reader<'a> {
    wanted: &'a [Site],
    found: Vec<Option<Tensor>>,
}

impl<'a> Reader<'a> {
    /// Rejects sites that the network does not have.
    pub fn new(wanted: &'a [Site], sites: impl FnOnce() -> Vec<SiteSpec>) -> Result<Self> {
        if !wanted.is_empty() {
            let known = sites();
            wanted.iter().try_for_each(|site| named(&known, &site.to_string()).map(drop))?;
        }
        Ok(Reader { wanted, found: wanted.iter().map(|_| None).collect() })
    }

    /// Offers the features of a site. They are copied if the network may write to them later.
    pub fn offer(&mut self, site: Site, features: &Tensor) -> Result<()> {
        for (wanted, found) in self.wanted.iter().zip(&mut self.found) {
            if *wanted == site {
                let is_recorded = features.requires_grad();
                *found = Some(if is_recorded { features.shallow_clone() } else { features.try_detach_copy()? });
            }
        }
        Ok(())
    }

    /// The features in the requested order.
    pub fn features(self) -> Vec<Tensor> {
        self.found.into_iter().flatten().collect()
    }
}
