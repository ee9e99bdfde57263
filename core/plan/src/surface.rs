//! The surface as data: which mappings exist, which keys they take, of which form, with which default and bounds.
//!
//! One table serves the reader (unknown keys, missing keys, wrong values), the defaults and the JSON Schema.

mod fields;
mod fill;
mod form;
mod keys;
mod kinds;
mod schema;

pub(crate) use fields::{Fields, text};
pub(crate) use form::{Form, Mapping};
pub(crate) use keys::{
    AGGREGATE, CONFLICT, DECODE, DENOISER, DIFFUSE, EMBED, ENCODE, EVALUATION, GENERATED, HEAD, INPUT, JUDGE, MODEL,
    OBSERVED, PIPELINE, PROMPT, SCORE, SCORER, SCORING, STAGE, STREAM, TABLE, TAKEN, TASK, TRAINING, VARIANT, VERSION,
};
pub(crate) use kinds::Family;
pub use schema::schema;
