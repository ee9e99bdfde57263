//! Checks whose tool a machine may lack. A developer's machine skips such a check with a message. CI fails, unless
//! `ANYFLOW_WITHOUT` lists the tool.

use std::env;

use anyhow::{Result, ensure};

/// Names, separated by commas. Some tests read this variable too.
const VARIABLE: &str = "ANYFLOW_WITHOUT";

/// Reports that a check is skipped because a tool is missing.
///
/// # Errors
///
/// In CI, if `ANYFLOW_WITHOUT` does not list the tool.
pub fn leave_out(name: &str, why: &str) -> Result<()> {
    println!("skipped ({name}): {why}");
    ensure!(is_agreed(name) || !in_ci(), "CI must not skip checks: install {name}, or list it in {VARIABLE}");
    Ok(())
}

/// True if the caller agreed to skip this.
pub fn is_agreed(name: &str) -> bool {
    is_named(name, &env::var(VARIABLE).unwrap_or_default())
}

/// True in CI.
pub fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty())
}

fn is_named(name: &str, list: &str) -> bool {
    list.split(',').any(|entry| entry.trim() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_parts_are_named() {
        assert!(is_named("miri", "asan, miri"));
        assert!(!is_named("miri", "asan,miriad") && !is_named("miri", ""));
    }
}
