//! From YAML to a plan: `Spec` (as written, with positions), `Graph` (names resolved), `Plan` (checked, ordered,
//! serializable). Pure: this crate opens no file, loads no plugin, knows no tensor and no modality by name.

pub mod descriptor;
pub mod event;
pub mod order;
pub mod plan;

mod compile;
mod error;
mod explain;
mod problem;
mod render;
mod source;
mod yaml;

pub use compile::{
    Catalog, FileKind, Override, check_inputs, compile_eval, compile_run, compile_train, kind_of, model_path,
};
pub use error::{Diagnostic, Error, Errors, Related, Warning};
pub use explain::{Format, explain};
pub use problem::{Caution, Hint, Problem};
pub use source::{Place, Source};
