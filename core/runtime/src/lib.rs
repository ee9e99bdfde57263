//! Loads plugins, builds sessions, runs plans, trains and evaluates. The program `anyflow-engine` is a thin shell around it.

#![allow(unsafe_code)] // the host's side of the plugin ABI, memory-mapped rows, the process itself

mod absent;
mod assign;
mod cells;
pub mod checkpoint;
pub mod conformance;
mod device;
mod error;
mod eval;
pub mod events;
pub mod front;
mod identity;
mod job;
mod judge;
pub mod mapped;
mod networks;
mod output;
pub mod plugin;
pub mod process;
mod provenance;
mod published;
mod request;
mod run;
mod scoring;
mod serve;
mod session;
mod sources;
mod stream;
mod table;
pub mod trace;
mod train;
mod values;
pub mod weights_wanted;

pub use error::{Result, RunError};
pub use job::{execute, versions};
pub use judge::Judge;
pub use run::{GivenShards, survey};
pub use serve::serve;
pub use session::Session;
pub use stream::StreamNet;

/// The libtorch version that this program is built for.
pub const LIBTORCH: &str = "2.11.0";

/// Seeds libtorch's global generator, which plugins use for initial weights and dropout. All other noise must come from
/// the engine's counter-based generator.
pub(crate) fn seed_libtorch(seed: u64) {
    #[allow(clippy::disallowed_methods)] // plugins have no other source of randomness
    tch::manual_seed((seed & (i64::MAX as u64)) as i64);
}
