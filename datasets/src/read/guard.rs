//! Turns panics of the decoders of Parquet and Arrow into errors. Damaged files cause them now and then.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

static HOOK: Once = Once::new();

thread_local! {
    /// True in a step, whose panic becomes an error: the hook has nothing to print.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoding step. Both its error and its panic become text, and nothing is printed.
///
/// The caller must not use the step's data after an error: a panic may leave it inconsistent.
pub(crate) fn guarded<T, E: ToString>(step: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    HOOK.call_once(print_other_panics);
    let before = IS_GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(step));
    IS_GUARDED.set(before);
    match done {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("the decoder gave up: {}", words(panic.as_ref()))),
    }
}

fn print_other_panics() {
    let print = take_hook();
    set_hook(Box::new(move |panic| {
        if !IS_GUARDED.get() {
            print(panic);
        }
    }));
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}
