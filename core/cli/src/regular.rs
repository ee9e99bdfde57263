//! Opens regular files only: reading a pipe or a device could block for ever.

use std::io::{self, Read};
use std::path::Path;

pub use anyflow_datasets::open_regular as open;
use anyflow_datasets::{MAX_RECORD_BYTES, read_regular};
use serde::de::DeserializeOwned;

/// Reads a record of a job. It may lie in the folder of a stranger, so its length is limited.
///
/// # Errors
/// As [`open`]; it is too long.
pub fn record(path: &Path) -> io::Result<Vec<u8>> {
    read_regular(path, MAX_RECORD_BYTES)
}

/// Reads a record in JSON; `None` if there is none, or it cannot be read.
pub fn json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&record(path).ok()?).ok()
}

/// Reads the bytes of a regular file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the text of a regular file.
///
/// # Errors
/// As [`open`]; it is not UTF-8.
pub fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return io::Error::other("it is in UTF-16; save it as UTF-8");
        }
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("the byte 0x{:02x} in line {line} is not UTF-8; save the file as UTF-8", bytes[at]))
    })
}

/// Refuses to replace a file that does not start with these bytes, as all our files of this type do: a wrong path must not
/// destroy data.
///
/// # Errors
/// It is not a regular file, starts with other bytes, or cannot be read.
pub fn ensure_ours(path: &Path, start: &[u8]) -> io::Result<()> {
    let mut found = Vec::new();
    match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?.take(start.len() as u64).read_to_end(&mut found)?,
    };
    let is_ours = found.is_empty() || found == start;
    if is_ours { Ok(()) } else { Err(io::Error::other("it holds something else; choose another name")) }
}

/// Refuses an existing path that is not a regular file.
///
/// # Errors
/// It is not a regular file.
pub fn ensure(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => Err(io::Error::other(NO_FILE)),
        _ => Ok(()),
    }
}

const NO_FILE: &str = "it is not a regular file; name one";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_another_encoding_has_the_place_of_its_first_odd_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        for (bytes, words) in [
            (b"a: 1\nname: caf\xe9\n".as_slice(), "the byte 0xe9 in line 2 is not UTF-8"),
            (b"\xff\xfea\0", "UTF-16; save it as UTF-8"),
            (b"a\xc3", "the byte 0xc3 in line 1"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = text(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn devices_folders_and_pipes_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        for path in [Path::new("/dev/null"), folder.path(), &pipe] {
            assert!(text(path).unwrap_err().to_string().contains("regular file"), "{}", path.display());
            assert!(ensure(path).is_err());
        }
        let file = folder.path().join("file");
        assert!(ensure(&file).is_ok(), "a missing file may be written later");
        std::fs::write(&file, "words").unwrap();
        assert_eq!((text(&file).unwrap(), read(&file).unwrap()), ("words".into(), b"words".to_vec()));
    }
}
