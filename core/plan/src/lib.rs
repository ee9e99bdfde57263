//! From YAML to a plan: `Spec` (as written, with positions), `Graph` (names resolved), `Plan` (checked, ordered,
//! serializable). Pure: this crate opens no file, loads no plugin, knows no tensor and no modality by name.

pub mod calls;
pub mod descriptor;
pub mod event;
pub mod findings;
pub mod frame;
pub mod order;
pub mod plan;
pub mod style;

mod check;
mod compile;
mod component;
mod error;
mod explain;
mod found;
mod graph;
mod include;
mod infer;
mod lower;
mod overrides;
mod problem;
mod property;
mod render;
mod source;
mod spec;
mod surface;
mod types;
mod yaml;

pub use compile::{
    Catalog, FileKind, check_inputs, compile_eval, compile_model, compile_run, compile_train, kind_of, model_paths,
};
pub use error::{Diagnostic, Error, Errors, Related, Warning};
pub use explain::{Format, explain};
pub use include::{Includes, includes};
pub use overrides::Override;
pub use problem::{Caution, Hint, Problem};
pub use source::{Place, Source};
pub use surface::schema;
