//! From YAML to a plan: `Spec` (as written, with positions), `Graph` (names resolved), `Plan` (checked, ordered,
//! serializable). Pure: this crate opens no file, loads no plugin, knows no tensor and no modality by name.

pub mod descriptor;
pub mod event;
pub mod plan;
