//! What a check needs and a machine may lack. On a developer's machine such a check is left out with a line; CI fails,
//! unless `ANYFLOW_WITHOUT` names what it does without.

use std::env;

use anyhow::{Result, ensure};

/// Names, separated by commas. Tests read it too.
const VARIABLE: &str = "ANYFLOW_WITHOUT";

/// Says that a check is left out, by the name of what it needs.
///
/// # Errors
///
/// This is CI, and nobody said that it does without.
pub fn leave_out(name: &str, why: &str) -> Result<()> {
    println!("left out ({name}): {why}");
    ensure!(is_agreed(name) || !in_ci(), "CI leaves out nothing in silence: provide {name}, or name it in {VARIABLE}");
    Ok(())
}

/// Whether the caller said that this is done without.
pub fn is_agreed(name: &str) -> bool {
    is_named(name, &env::var(VARIABLE).unwrap_or_default())
}

/// Whether this is CI.
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
