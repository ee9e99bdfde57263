//! Opens regular files only: reading a pipe or a device could block for ever.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Opens a regular file without blocking.
///
/// # Errors
/// It cannot be opened, or is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other(NO_FILE)) }
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
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
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
