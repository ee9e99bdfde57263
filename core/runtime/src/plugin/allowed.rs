//! The optional list of library files that this process may load.

use std::collections::BTreeSet;
use std::sync::OnceLock;

static ALLOWED: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Restricts this process to library files with these blake3 hashes (hexadecimal). Only the first call counts.
pub fn allow_only(hashes: impl IntoIterator<Item = String>) {
    ALLOWED.get_or_init(|| hashes.into_iter().collect());
}

/// True if there is a list.
pub(super) fn is_limited() -> bool {
    ALLOWED.get().is_some()
}

/// Refuses a hash that is not on the list, if there is one.
pub(super) fn check(hash: &str) -> Result<(), String> {
    match ALLOWED.get() {
        Some(allowed) if !allowed.contains(hash) => Err(format!(
            "is not on the list of allowed plugins; if you trust it, add its blake3 hash to the list: {hash}"
        )),
        _ => Ok(()),
    }
}
