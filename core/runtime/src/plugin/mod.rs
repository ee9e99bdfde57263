//! The host's side of the border: libraries, codecs, modules.

mod codec;
mod library;
mod module;
mod report;

pub use codec::Codec;
pub use library::{Plugin, Plugins};
pub use module::{Module, Parameter};
pub use report::RowError;
