//! What guidance can point towards in a diffusion.

use anyflow_config::Guidance;

use crate::graph::StreamLists;
use crate::spec::GuidanceSpec;

impl GuidanceSpec {
    /// True if there is something to guide towards.
    pub fn applies(&self, lists: &StreamLists) -> bool {
        if self.is_joint() {
            return lists.generated().count() > 1;
        }
        let is_named =
            |name: &str| self.conditions.is_empty() || self.conditions.iter().any(|named| named.value == name);
        lists.conditions().any(is_named)
    }

    /// True for guidance between generated streams.
    pub fn is_joint(&self) -> bool {
        matches!(self.guidance, Guidance::Joint(_))
    }
}
