//! Loads plugins, builds sessions, runs plans, trains, evaluates. The program `anyflow-engine` is a thin shell round it.

#![allow(unsafe_code)] // the host's side of the plugin border, memory-mapped latents, the process itself

pub mod checkpoint;
pub mod conformance;
mod device;
mod error;
mod eval;
pub mod events;
pub mod front;
mod identity;
mod job;
pub mod latents;
mod mapped;
mod networks;
mod output;
pub mod plugin;
pub mod process;
mod provenance;
mod run;
mod scoring;
mod session;
mod sources;
mod stream;
pub mod trace;
mod train;

pub use error::{Result, RunError};
pub use job::{execute, versions};
pub use session::{Judge, Session};
pub use stream::StreamNet;

/// The libtorch version that this program is built for.
pub const LIBTORCH: &str = "2.11.0";

/// Seeds libtorch's own generator, which plugins use for initial weights and dropout. Nothing else may.
pub(crate) fn seed_libtorch(seed: u64) {
    #[allow(clippy::disallowed_methods)] // the one place: plugins have no other source
    tch::manual_seed((seed & (i64::MAX as u64)) as i64);
}
