//! Object stores: S3, Google Cloud Storage, Azure Blob Storage, and files of web servers.
//!
//! A path with a scheme, such as `s3://bucket/folder`, is an address. An address has no folders of its own: a folder is what
//! the names of objects share up to a slash. Every call waits for its answer. A request that fails for a passing reason is sent
//! again by the client for up to three minutes.

mod address;
mod client;
mod create;
mod error;
#[cfg(test)]
pub(crate) mod faulty;
mod object;
mod reader;
mod runtime;
mod upload;

pub(crate) use address::Address;
pub use address::{is_address, is_there, try_access};
pub(crate) use create::Created;
pub(crate) use object::{Object, ObjectVersion};
pub(crate) use reader::{ObjectReader, ObjectStream};
