//! Shared by the tests: the built programs and plugins, small synthetic data, and folders to work in.

mod absent;
mod built;
mod data;
mod models;
mod native;
mod numbers;
mod shared;
mod tiny;
mod workspace;

pub use absent::{leave_out, python};
pub use built::{Output, anyflow, anyflow_with, command_in, component, descriptor, library, shipped_plugins, target};
pub use data::{digit_png, files_below, tone_wav, write_columns, write_digits};
pub use models::IMAGE_LABEL_MODEL;
pub use native::{compile, compile_with, native_component};
pub use numbers::{Numbers, SCALED};
pub use shared::{copy, shared};
pub use tiny::{TinyFolder, fill};
pub use workspace::{Workspace, cells};
