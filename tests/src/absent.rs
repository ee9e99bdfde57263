//! Tools that a machine may lack.

use std::ffi::OsString;

/// Reports that a test is skipped because a tool is missing.
///
/// # Panics
/// In CI, unless `ANYFLOW_WITHOUT` lists the tool: CI must not skip tests silently.
pub fn leave_out(name: &str, why: &str) {
    let agreed = std::env::var("ANYFLOW_WITHOUT").unwrap_or_default();
    let agreed = agreed.split(',').any(|entry| entry.trim() == name);
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(agreed || !in_ci, "{why}: install {name}, or list it in ANYFLOW_WITHOUT");
    eprintln!("skipped ({name}): {why}");
}

/// A Python with pyarrow, for tests that read our files with another implementation.
///
/// # Panics
/// As [`leave_out`], if there is none.
pub fn python() -> Option<OsString> {
    let python = std::env::var_os("ANYFLOW_PYTHON");
    if python.is_none() {
        leave_out("pyarrow", "ANYFLOW_PYTHON names no Python with pyarrow (`cargo xtask test` provides one)");
    }
    python
}
