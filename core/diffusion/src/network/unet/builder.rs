//! The construction of a U-Net.

use super::super::layer::BuildOptions;
use super::Options;

/// Settings and counters during construction.
pub(super) struct Builder<'a> {
    pub config: &'a Options,
    pub init: BuildOptions,
    pub groups: i64,
    /// The width of the time embedding.
    pub embedding: i64,
    /// The width of the time projections so far.
    pub projected: i64,
    /// The number of transformer blocks so far.
    pub blocks: usize,
    /// The number of layers that attend to a context so far.
    pub readers: usize,
}
