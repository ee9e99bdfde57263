//! The user's list of plugin files that may be loaded. If there is a list, code of other files never runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::regular;

/// Environment variable that names the list if the option does not.
const VARIABLE: &str = "ANYFLOW_PLUGINS_ALLOW";

static CHOSEN: OnceLock<Option<PathBuf>> = OnceLock::new();

/// An allow list that cannot be used. The user must correct it.
#[derive(Debug, thiserror::Error)]
pub enum AllowError {
    /// The list cannot be read.
    #[error("list of allowed plugins {}: cannot be read ({source})", path.display())]
    Read {
        /// The list.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A line does not begin with a hash.
    #[error(
        "list of allowed plugins {}:{line}: `{word}` is not a blake3 hash (64 hexadecimal digits); `anyflow plugin list` \
         prints the hashes of your plugins",
        path.display()
    )]
    Line {
        /// The list.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The first word of the line.
        word: String,
    },
}

/// Sets the list for this process, from the command-line option.
pub fn choose(option: Option<PathBuf>) {
    CHOSEN.get_or_init(|| option);
}

/// The list that the command-line option names; `None` without the option.
pub fn chosen() -> Option<PathBuf> {
    CHOSEN.get().cloned().flatten()
}

/// Returns the hashes of the files that may be loaded; `None` if there is no list.
///
/// # Errors
/// [`AllowError`].
pub fn hashes() -> Result<Option<BTreeSet<String>>, AllowError> {
    let variable = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = CHOSEN.get().cloned().flatten().or_else(variable);
    path.map(|path| read(&path)).transpose()
}

/// The hash of a file with these bytes.
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Reads a list: each line begins with a hash, as in the output of `b3sum`. The rest of a line, empty lines and lines
/// that begin with `#` are ignored.
fn read(path: &Path) -> Result<BTreeSet<String>, AllowError> {
    let text = regular::text(path).map_err(|source| AllowError::Read { path: path.into(), source })?;
    let mut hashes = BTreeSet::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        let Some(word) = line.split_whitespace().next() else { continue };
        if word.len() != 64 || !word.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(AllowError::Line { path: path.into(), line: at + 1, word: word.into() });
        }
        hashes.insert(word.to_ascii_lowercase());
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_a_hash_is_an_error_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let one = hash(b"one");
        let two = hash(b"two");
        std::fs::write(&path, format!("# mine\n\n{one}  libone.so\n{}\n", two.to_uppercase())).unwrap();
        assert_eq!(read(&path).unwrap(), BTreeSet::from([one.clone(), two]));
        std::fs::write(&path, format!("{one}\nlibtwo.so\n")).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("list:2") && error.contains("`libtwo.so`"), "{error}");
        assert!(matches!(read(&folder.path().join("absent")), Err(AllowError::Read { .. })));
    }
}
