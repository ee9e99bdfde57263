//! The separator of a table of lines.

use std::io::Read;
use std::path::Path;

use super::{bare_name, open_text};
use crate::error::{Result, io_error};

/// Bytes at the start of a file in which its first two lines are looked for.
const HEAD_BYTES: u64 = 1 << 16;
/// What separates columns, and its name.
const SEPARATORS: [(u8, &str); 4] = [(b',', "commas"), (b'\t', "tabs"), (b';', "semicolons"), (b'|', "bars")];

/// The separator of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Separator {
    pub(super) byte: u8,
    /// Its name, if the file's name promises another one.
    pub(super) unexpected: Option<&'static str>,
}

impl Separator {
    /// The separator that the file's name promises. If its header has none of them, the one that the first lines share.
    pub(super) fn of(file: &Path) -> Result<Separator> {
        let promised = if bare_name(file).ends_with(".tsv") { b'\t' } else { b',' };
        let mut head = Vec::new();
        open_text(file)?.take(HEAD_BYTES).read_to_end(&mut head).map_err(io_error(file, "read"))?;
        let mut lines = head.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let header = lines.next().unwrap_or_default();
        let second = lines.next();
        let shared = |byte: u8| {
            let columns = count(header, byte);
            columns > 0 && second.is_none_or(|line| count(line, byte) == columns)
        };
        let promised = Separator { byte: promised, unexpected: None };
        if count(header, promised.byte) > 0 {
            return Ok(promised);
        }
        let found = SEPARATORS.into_iter().find(|(byte, _)| shared(*byte));
        Ok(found.map_or(promised, |(byte, name)| Separator { byte, unexpected: Some(name) }))
    }
}

/// How often a byte occurs outside of quotation marks.
fn count(line: &[u8], byte: u8) -> usize {
    let mut quoted = false;
    let mut found = 0;
    for other in line {
        quoted ^= *other == b'"';
        found += usize::from(*other == byte && !quoted);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_show_the_separator() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content, byte, unexpected) in [
            ("a.csv", "a,b\n1,2\n", b',', None),
            ("a.csv", "a\tb\n1\t2\n", b'\t', Some("tabs")),
            ("a.csv", "a;b\n1,5;2\n", b';', Some("semicolons")),
            ("a.csv", "a;b\n", b';', Some("semicolons")),
            ("a.csv", "\"a,b\";c\n1;2\n", b';', Some("semicolons")),
            // The second line does not confirm the semicolon.
            ("a.csv", "words; and more\nline\n", b',', None),
            ("a.csv", "one\n1\n", b',', None),
            ("a.csv", "", b',', None),
            ("a.tsv", "a\tb,c\n1\t2\n", b'\t', None),
            ("a.tsv", "a,b\n1,2\n", b',', Some("commas")),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            assert_eq!(Separator::of(&path).unwrap(), Separator { byte, unexpected }, "{content:?}");
        }
    }
}
