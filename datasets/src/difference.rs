//! The difference between two jobs.

/// A part that differs between two jobs, or is missing in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the part.
    pub name: String,
    /// The value in this job.
    pub expected: Option<String>,
    /// The value in the other job.
    pub found: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = |value: &Option<String>| value.as_deref().map_or("missing".into(), shortened);
        write!(f, "{} is {} there and {} here", self.name, value(&self.found), value(&self.expected))
    }
}

/// Shortens a hash to its start.
fn shortened(value: &str) -> String {
    const MOST: usize = 60;
    let hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value.char_indices().nth(if hash { 12 } else { MOST }) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_and_long_values_are_shortened() {
        assert_eq!(shortened(&"0f".repeat(32)), format!("{}…", "0f".repeat(6)));
        assert_eq!(shortened(&"0f".repeat(30)), "0f".repeat(30));
        assert_eq!(shortened(&"0f".repeat(31)), format!("{}…", "0f".repeat(30)));
        assert_eq!(shortened(&"xy".repeat(32)), format!("{}…", "xy".repeat(30)));
        assert_eq!(shortened(&"ö".repeat(61)), format!("{}…", "ö".repeat(60)));
    }
}
