//! What the tests share: the built programs and plugins, and small data made on the spot.

mod built;
mod data;

pub use built::{Output, anyflow, component, library, target};
pub use data::{digit_png, files_below, tone_wav, write_columns, write_digits};
