//! What guidance can point towards in a diffusion.

use anyflow_config::Guidance;

use crate::plan::{Roles, StreamRole};
use crate::spec::GuidanceSpec;

impl GuidanceSpec {
    /// True if there is something to guide towards.
    pub fn applies(&self, roles: &Roles) -> bool {
        if self.is_joint() {
            return roles.names(StreamRole::is_sampled).count() > 1;
        }
        let is_named =
            |name: &str| self.conditions.is_empty() || self.conditions.iter().any(|named| named.value == name);
        roles.names(StreamRole::is_condition).any(|name| is_named(name))
    }

    /// True for guidance between generated streams.
    pub fn is_joint(&self) -> bool {
        matches!(self.guidance, Guidance::Joint(_))
    }
}
