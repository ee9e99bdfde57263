//! What of a folder is meant.

use std::path::{Path, PathBuf};

/// A part of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// Nothing was said: the only split there is.
    Default,
    /// All splits together.
    All,
    /// A split, a configuration, or both: `test`, `en`, `en/test`.
    Named(String),
}

/// Splits `DIR#PART` at its last `#`.
pub(super) fn parse(path: &Path) -> (PathBuf, Selection) {
    match path.to_str().and_then(|text| text.rsplit_once('#')) {
        Some((folder, "all")) if !folder.is_empty() => (folder.into(), Selection::All),
        Some((folder, part)) if !folder.is_empty() && !part.is_empty() => {
            (folder.into(), Selection::Named(part.to_string()))
        }
        _ => (path.to_path_buf(), Selection::Default),
    }
}
