//! Panics do not cross the ABI: a panic becomes a status and a text, and poisons the instance.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Error;
use crate::abi::{Report, StrView, status};

/// Why `forward` refuses other numbers of arrays.
pub(crate) const ONE_EACH: &str = "a role takes exactly one input and gives exactly one output";

/// Reports an error for the whole call (`row` < 0) or for one row.
///
/// # Safety
/// `report` is null or a valid table of the host.
pub(crate) unsafe fn report_error(report: *const Report, row: i64, text: &str) {
    if report.is_null() {
        return;
    }
    // SAFETY: as promised by the caller; the callback copies the text before it returns.
    unsafe {
        if let Some(error) = (*report).error {
            error((*report).context, row, StrView::new(text.as_bytes()));
        }
    }
}

/// Runs `body`; turns its error or panic into a status and a report.
///
/// # Safety
/// As [`report_error`].
pub(crate) unsafe fn guarded(report: *const Report, body: impl FnOnce() -> Result<(), Error>) -> u32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => status::OK,
        Ok(Err(error)) => {
            // SAFETY: as promised by the caller.
            unsafe { report_error(report, -1, &error.to_string()) };
            error.status()
        }
        Err(payload) => {
            // SAFETY: as promised by the caller.
            unsafe { report_error(report, -1, &format!("panicked: {}", panic_text(&*payload))) };
            status::PANICKED
        }
    }
}

/// An instance that refuses calls after a panic.
pub struct Poisonable<T> {
    poisoned: AtomicBool,
    pub(crate) inner: T,
}

impl<T> Poisonable<T> {
    pub(crate) fn new(inner: T) -> Self {
        Poisonable { poisoned: AtomicBool::new(false), inner }
    }

    /// Runs `body` on the instance unless it is poisoned.
    ///
    /// # Safety
    /// As [`report_error`].
    pub(crate) unsafe fn call(&self, report: *const Report, body: impl FnOnce(&T) -> Result<(), Error>) -> u32 {
        if self.poisoned.load(Ordering::Acquire) {
            // SAFETY: as promised by the caller.
            unsafe { report_error(report, -1, "the instance panicked in an earlier call and takes no more calls") };
            return status::POISONED;
        }
        // SAFETY: as promised by the caller.
        let status = unsafe { guarded(report, || body(&self.inner)) };
        if status == crate::abi::status::PANICKED {
            self.poisoned.store(true, Ordering::Release);
        }
        status
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}
