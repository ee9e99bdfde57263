//! Places where a test can kill the process, to prove that nothing is lost or doubled.
//!
//! `ANYFLOW_FAILPOINT=NAME` aborts at the first passing of that point, `NAME:2` after two passings.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that names the point.
pub(crate) const VARIABLE: &str = "ANYFLOW_FAILPOINT";

struct Armed {
    name: String,
    passings_left: AtomicU64,
}

/// Aborts the process if this point is armed and due. Costs one load otherwise.
pub(crate) fn reach(name: &str) {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let Some(armed) = ARMED.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| parse(&text))) else { return };
    if armed.name == name && armed.passings_left.fetch_sub(1, Ordering::Relaxed) == 0 {
        // No unwinding, no destructors: as close to kill -9 as a process can do to itself.
        std::process::abort();
    }
}

fn parse(text: &str) -> Armed {
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    Armed { name: name.to_string(), passings_left: AtomicU64::new(count.parse().unwrap_or(0)) }
}
