//! What a test needs and a machine may lack.

use std::ffi::OsString;

/// Says that a test is left out, by the name of what it needs.
///
/// # Panics
/// In CI, unless `ANYFLOW_WITHOUT` names what it does without: there nothing is left out in silence.
pub fn leave_out(name: &str, why: &str) {
    let agreed = std::env::var("ANYFLOW_WITHOUT").unwrap_or_default();
    let agreed = agreed.split(',').any(|entry| entry.trim() == name);
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(agreed || !in_ci, "{why}: provide {name}, or name it in ANYFLOW_WITHOUT");
    eprintln!("left out ({name}): {why}");
}

/// A Python with pyarrow, for tests that read our files with another program.
///
/// # Panics
/// As [`leave_out`] where there is none.
pub fn python() -> Option<OsString> {
    let python = std::env::var_os("ANYFLOW_PYTHON");
    if python.is_none() {
        leave_out("pyarrow", "ANYFLOW_PYTHON names no Python with pyarrow (`cargo xtask test` provides one)");
    }
    python
}
