//! The YAML language as data: mappings and kinds with their keys, forms, defaults and bounds.
//!
//! One table serves the reader (unknown keys, missing keys, wrong values), the defaults, the JSON Schema and the
//! reference.

mod fields;
mod fill;
mod form;
mod keys;
mod kinds;
mod schema;

pub(crate) use fields::{Fields, text};
pub(crate) use form::{Form, Key, Mapping, Need};
pub(crate) use keys::{
    AGGREGATE, CONFLICT, DECODE, DENOISER, DIFFUSE, EMBED, ENCODE, EVALUATION, GENERATED, HEAD, INPUT, JUDGE, MODEL,
    OBSERVED, PIPELINE, PROMPT, SCORE, SCORER, SCORING, STAGE, STREAM, TABLE, TAKEN, TASK, TRAINING, VARIANT, VERSION,
};
pub(crate) use kinds::Family;
pub use schema::schema;
