//! Paths as text, for orders, plans and results.

use std::path::Path;

use crate::error::{CliError, Result};

/// A path as text. Refuses other encodings: a lossy conversion would name another file.
///
/// # Errors
/// [`CliError::Usage`].
pub fn text(path: &Path) -> Result<String> {
    let unfit = || {
        // The bytes that are not UTF-8 as `\xe9`, so that the user can find the name.
        let shown =
            path.as_os_str().as_encoded_bytes().utf8_chunks().fold(String::new(), |shown, chunk| {
                format!("{shown}{}{}", chunk.valid(), chunk.invalid().escape_ascii())
            });
        CliError::Usage(format!("{shown}: is not UTF-8; rename the file or folder, or use another"))
    };
    path.to_str().map(String::from).ok_or_else(unfit)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_path_that_is_not_utf8_is_refused() {
        assert_eq!(text(Path::new("/ä/b c")).unwrap(), "/ä/b c");
        let error = text(Path::new(OsStr::from_bytes(b"/\xc3\xa4/out\xe9.d"))).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(r"/ä/out\xe9.d: is not UTF-8"), "{error}");
    }
}
