//! Shared by the tests: the built programs and plugins, small synthetic data, and folders to work in.

mod absent;
mod browser;
mod built;
mod cluster;
mod data;
mod http;
mod models;
mod native;
mod numbers;
mod server;
mod shared;
mod store;
mod tiny;
mod workspace;

pub use absent::{leave_out, python};
pub use browser::Browser;
pub use built::{Output, anyflow, anyflow_with, command_in, component, descriptor, library, shipped_plugins, target};
pub use cluster::{Cluster, Executor, children, signal};
pub use data::{digit_png, files_below, tone_wav, write_columns, write_digits};
pub use http::{Http, Response};
pub use models::IMAGE_LABEL_MODEL;
pub use native::{compile, compile_with, native_component};
pub use numbers::{Numbers, SCALED};
pub use server::{Server, wait_for};
pub use shared::{copy, shared};
pub use store::{BUCKET, Fault, Line, Passing, Store};
pub use tiny::{TinyFolder, fill, sparse};
pub use workspace::{Workspace, cells};
