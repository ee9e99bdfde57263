//! The list of plugin files that may be loaded, where the user keeps one: with it, no code of any other file runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::regular;

/// Names the list when the option does not.
const VARIABLE: &str = "ANYFLOW_PLUGINS_ALLOW";

static CHOSEN: OnceLock<Option<PathBuf>> = OnceLock::new();

/// The list is unusable: the user must correct it.
#[derive(Debug, thiserror::Error)]
pub enum AllowError {
    /// It cannot be read.
    #[error("list of allowed plugins {}: cannot be read ({source})", path.display())]
    Read {
        /// The list.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A line says something else.
    #[error(
        "list of allowed plugins {}:{line}: `{word}` is no blake3 hash (64 hexadecimal digits); `anyflow plugin list` \
         prints those of your plugins",
        path.display()
    )]
    Line {
        /// The list.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What stands there.
        word: String,
    },
}

/// Says for this process which list the option names, if it does.
pub fn choose(option: Option<PathBuf>) {
    CHOSEN.get_or_init(|| option);
}

/// The hashes of the only files that may be loaded; `None` where there is no list.
///
/// # Errors
/// [`AllowError`].
pub fn hashes() -> Result<Option<BTreeSet<String>>, AllowError> {
    let variable = || std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = CHOSEN.get().cloned().flatten().or_else(variable);
    path.map(|path| read(&path)).transpose()
}

/// The hash of a file that consists of `bytes`.
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Each line begins with a hash, as the lines of `b3sum` do; the rest of it is for people, like empty lines and those
/// that begin with `#`.
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
    fn lines_begin_with_hashes_and_others_are_told_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let (one, two) = (hash(b"one"), hash(b"two"));
        std::fs::write(&path, format!("# mine\n\n{one}  libone.so\n{}\n", two.to_uppercase())).unwrap();
        assert_eq!(read(&path).unwrap(), BTreeSet::from([one.clone(), two]));
        std::fs::write(&path, format!("{one}\nlibtwo.so\n")).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("list:2") && error.contains("`libtwo.so`"), "{error}");
        assert!(matches!(read(&folder.path().join("absent")), Err(AllowError::Read { .. })));
    }
}
