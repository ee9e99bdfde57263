//! The plugin border: plain C structs and constants, nothing else. Both sides compile this crate, or include
//! `anyflow.h`, which `cargo xtask header` makes of it; neither shares any Rust type across the border beyond it.
//!
//! # Rules
//!
//! - A plugin exports one static, [`ENTRY_SYMBOL`], and carries its descriptor as JSON in the section
//!   [`SECTION`] of its library file, so that a host can read it without running code.
//! - Structs only grow at the end and start with their size; a reader uses no field beyond the size it was given.
//! - [`ABI_MAJOR`] changes when an old binary could not be called any more, [`ABI_MINOR`] when something was added.
//!   They are numbers of their own, not the product's version.
//! - On another major, only [`Entry::magic`], [`Entry::abi_major`], [`Entry::abi_minor`] may be read.
//! - Features beyond the core are interfaces, asked for by id: [`codec::ID`], [`torch::ID`], [`array::ID`].
//! - A function that a table of the known size leaves null is one that its owner does not have.
//! - No panic and no C++ exception crosses the border: it becomes one of [`status`] and a text.
//! - Libraries are never unloaded.
//!
//! # Thread roles
//!
//! `[main]` one thread, set-up and tear-down · `[worker]` any of several threads, several calls at a time ·
//! `[compute]` the one thread of an instance: its `create`, all its calls and its `destroy` · `[any]` wherever.
//!
//! # Lifetimes
//!
//! Every pointer that is passed in is valid until the call returns, and no longer, unless its documentation says
//! otherwise. What a plugin reports is copied by the host before the callback returns. Memory that is passed in is the
//! host's: a plugin writes to it only where the documentation says so.
//!
//! # Manners
//!
//! A plugin is a guest of the process. When a call returns, it has left the thread and the process as they were: the
//! floating-point environment (what links with `-ffast-math` changes it), libtorch's modes and settings, current folder,
//! umask, signal handlers, locale; no open file, thread or child process of the call is left, and nothing was written to
//! standard output. `log` of the host is for what a plugin has to say.

pub mod array;
pub mod codec;
pub mod descriptor;
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
