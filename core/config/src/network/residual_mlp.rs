//! The facts about a residual MLP.

use super::{Architecture, Misfit, ResidualMlp};
use crate::SiteSpec;

impl ResidualMlp {
    /// The heads of its attention.
    pub fn heads(&self) -> i64 {
        self.num_attention_heads.unwrap_or(8)
    }
}

impl Architecture for ResidualMlp {
    fn sites(&self, _streams: &[&[i64]]) -> Vec<SiteSpec> {
        SiteSpec::of_blocks(self.blocks, &[self.width])
    }

    fn misfits(&self, attends: bool) -> Vec<Misfit> {
        let heads = (attends || self.num_attention_heads.is_some()).then(|| self.heads());
        let misfit = |heads| Misfit::of_divisor("num_attention_heads", heads, "width", self.width);
        heads.and_then(misfit).into_iter().collect()
    }
}
