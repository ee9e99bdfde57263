//! What the tests share: the built programs and plugins, and small data made on the spot.

mod built;
mod data;
mod native;
mod numbers;

pub use built::{Output, anyflow, anyflow_with, command_in, component, library, target};
pub use data::{digit_png, files_below, tone_wav, write_columns, write_digits};
pub use native::{compile, compile_with, native_component};
pub use numbers::{Numbers, SCALED};
