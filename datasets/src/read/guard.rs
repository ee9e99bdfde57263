//! Turns panics of the decoders of Parquet and Arrow into errors. Damaged files cause them now and then.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a decoding step. Both its error and its panic become text.
///
/// The caller must not use the step's data after an error: a panic may leave it inconsistent.
pub(crate) fn guarded<T, E: ToString>(step: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("the decoder gave up: {}", words(panic.as_ref()))),
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}
