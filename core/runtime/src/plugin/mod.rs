//! The host's side of the border: libraries, codecs, modules. Each interface is one file.

mod array;
mod codec;
mod library;
mod module;
mod report;
mod torch;
mod view;
pub mod watch;

pub use codec::Codec;
pub use library::{Plugin, Plugins, allow_only};
pub use module::{Module, Parameter};
pub use report::RowError;
