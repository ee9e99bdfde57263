//! Points where a test can kill the process, to prove that no row is lost or doubled.
//!
//! `ANYFLOW_FAILPOINT=NAME` aborts at the first pass of that point, `NAME:2` after two passes. Only builds with debug
//! assertions read the variable; release builds have no such points.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that names the point.
pub const FAILPOINT_VARIABLE: &str = "ANYFLOW_FAILPOINT";

/// All points, in the order in which a job of one shard first passes them.
pub const FAILPOINTS: [&str; 12] = [
    "locked",
    "file-created",
    "file-written",
    "file-synced",
    "file-renamed",
    "file-published",
    "job-named",
    "shard-renamed",
    "committed",
    "failures-written",
    "card-written",
    "finished",
];

/// The points that only a job in parts passes: where a part ends, and where its shards are taken over.
pub const PART_FAILPOINTS: [&str; 2] = ["part-finished", "shard-taken"];

/// The point that only a job in a store passes: its shard is there, and its commit is not.
pub const STORE_FAILPOINTS: [&str; 1] = ["shard-uploaded"];

struct Armed {
    name: String,
    passings_left: AtomicU64,
}

/// Aborts the process if this point, one of the lists above, is armed and due. Costs one load otherwise.
pub(crate) fn reach(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    debug_assert!(
        FAILPOINTS.contains(&name) || PART_FAILPOINTS.contains(&name) || STORE_FAILPOINTS.contains(&name),
        "{name} is not on the list of failpoints"
    );
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    let armed = || std::env::var(FAILPOINT_VARIABLE).ok().map(|text| parse(&text));
    let Some(armed) = ARMED.get_or_init(armed) else { return };
    if armed.name == name && armed.passings_left.fetch_sub(1, Ordering::Relaxed) == 0 {
        // Without unwinding and destructors, this is as close to kill -9 as a process can get.
        std::process::abort();
    }
}

fn parse(text: &str) -> Armed {
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    Armed { name: name.to_string(), passings_left: AtomicU64::new(count.parse().unwrap_or(0)) }
}
