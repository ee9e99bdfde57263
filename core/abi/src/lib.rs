//! The plugin ABI: plain C structs and constants, nothing else. Host and plugin compile this crate, or include
//! `anyflow.h`, which `cargo xtask header` generates from it. They share no other type.
//!
//! # Rules
//!
//! - A plugin exports one static, [`ENTRY_SYMBOL`], and carries its descriptor as JSON in the section
//!   [`SECTION`] of its library file, so that a host can read it without running code.
//! - Structs start with their size and only grow at the end. A reader uses no field beyond that size.
//! - [`ABI_MAJOR`] changes when old binaries become incompatible, [`ABI_MINOR`] with every addition. Both are
//!   independent of the product's version.
//! - On another major, only [`Entry::magic`], [`Entry::abi_major`] and [`Entry::abi_minor`] may be read.
//! - Features are interfaces, requested by id: [`codec::ID`], [`torch::ID`], [`dry::ID`], [`array::ID`].
//! - A null function in a table is one that its owner does not have.
//! - No panic and no C++ exception crosses the ABI: it becomes a [`status`] and a text.
//! - Libraries are never unloaded.
//!
//! # Thread roles
//!
//! `[main]` one thread, set-up and tear-down · `[worker]` any of several threads, several calls at the same time ·
//! `[compute]` the single thread of an instance: its `create`, all its calls and its `destroy` · `[any]` any thread.
//!
//! # Lifetimes
//!
//! A pointer argument is valid until the call returns, unless its documentation says otherwise. The host copies a
//! plugin's reports before the callback returns. Memory in arguments belongs to the host: a plugin writes to it only if
//! the documentation says so.
//!
//! # Manners
//!
//! A plugin is a guest of the process. Every call leaves the thread and the process as they were: floating-point
//! environment (linking with `-ffast-math` changes it), libtorch's modes and settings, current folder, umask, signal
//! handlers and locale. It leaves no open file, thread or child process, and writes nothing to standard output. Plugins
//! report messages through the host's `log`.

pub mod array;
pub mod codec;
pub mod descriptor;
pub mod dry;
mod entry;
pub mod float;
mod layout;
mod list;
mod memory;
#[cfg(feature = "read")]
pub mod read;
pub mod status;
pub mod torch;
mod view;

pub use entry::{ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, Entry, Host, MAGIC, Report, SECTION};
pub use list::{ListView, MAX_DEPTH, values_of};
pub use memory::{Unreadable, items};
pub use view::{ArrayView, CellView, DataType, Device, StrView, cell_kind, dtype};
