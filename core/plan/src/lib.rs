//! From YAML to a plan: `Spec` (as written, with positions), `Graph` (names resolved), `Plan` (checked, ordered,
//! serializable). The crate is pure: it opens no files, loads no plugins, and knows no tensors and no modalities.

pub mod calls;
pub mod descriptor;
pub mod plan;
pub mod protocol;
pub mod reference;
pub mod seeds;
pub mod style;

mod catalog;
mod catalogue;
mod check;
mod compile;
mod component;
mod diagnostic;
mod error;
mod explain;
mod found;
mod graph;
mod include;
mod infer;
mod keymap;
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

pub use catalog::Catalog;
pub use catalogue::codes;
pub use compile::{
    FileKind, InputNeeded, ResolvedFile, changed_text, check_inputs, compile_eval, compile_model, compile_run,
    compile_train, kind_of, model_paths, resolved_files, without_inputs,
};
pub use diagnostic::{Diagnostic, Error, Related, Severity, Warning};
pub use error::Errors;
pub use explain::{Format, explain};
pub use include::{Includes, includes};
pub use lower::after;
pub use overrides::{Choices, Override};
pub use problem::{CodeEntry, Hint};
pub use protocol::{event, findings, frame, order, service, survey};
pub use source::{Place, Source};
pub use surface::schema;
