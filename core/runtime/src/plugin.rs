//! The host's side of the plugin ABI: libraries, codecs, modules. Each interface is one file.

mod allowed;
mod array;
mod call;
mod cell;
mod codec;
mod entry;
mod files;
mod instance;
mod library;
mod made;
mod module;
mod module_options;
mod needs;
mod parameter;
mod report;
mod role;
mod sealed;
mod slot;
mod torch;
mod versions;
mod view;
pub mod watch;

pub use allowed::allow_only;
pub use codec::Codec;
pub(crate) use files::{TextFiles, files_of};
pub use library::{LoadedPlugins, Plugin};
pub use module::Module;
pub use module_options::ModuleOptions;
pub use parameter::Parameter;
pub use report::RowError;
