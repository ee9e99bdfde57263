//! Reads the engine's log line by line, in bounded memory.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// Maximum bytes kept per line.
const LONGEST: usize = 1 << 16;

/// Passes every line to `each` until the stream ends or `each` returns false.
///
/// # Errors
/// The stream cannot be read.
pub(super) fn lines(stream: impl Read, mut each: impl FnMut(String) -> bool) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut left_out = 0;
    loop {
        let bytes = match stream.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let kept = part.len().min(LONGEST - line.len());
        line.extend_from_slice(&part[..kept]);
        left_out += part.len() - kept;
        let ends = bytes.is_empty();
        let used = part.len() + usize::from(end.is_some());
        stream.consume(used);
        if end.is_some() || (ends && !line.is_empty()) {
            if !each(text(&line, left_out)) {
                return Ok(());
            }
            line.clear();
            left_out = 0;
        }
        if ends {
            return Ok(());
        }
    }
}

fn text(line: &[u8], left_out: usize) -> String {
    let text = String::from_utf8_lossy(line);
    match left_out {
        0 => text.trim_end_matches('\r').to_string(),
        _ => format!("{text} ... (the line is cut, {left_out} more bytes)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: impl Read) -> (Vec<String>, io::Result<()>) {
        let mut found = Vec::new();
        let result = lines(stream, |line| {
            found.push(line);
            true
        });
        (found, result)
    }

    #[test]
    fn lines_are_whole_and_the_last_needs_no_end() {
        let (found, result) = read(&b"one\n\ntwo\r\nth\xffree"[..]);
        assert_eq!(found, ["one", "", "two", "th\u{fffd}ree"]);
        assert!(result.is_ok());
        assert_eq!(read(&b""[..]).0.len(), 0);
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_is_whole() {
        let (found, _) = read(io::repeat(b'x').take(10_000_000).chain(&b"\nnext\n"[..]));
        assert_eq!(found.len(), 2);
        assert!(found[0].len() < LONGEST + 100);
        assert!(found[0].ends_with(&format!("(the line is cut, {} more bytes)", 10_000_000 - LONGEST)), "{}", found[0]);
        assert_eq!(found[1], "next");
    }

    #[test]
    fn a_read_error_is_returned() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("torn"))
            }
        }
        let (found, result) = read((&b"half"[..]).chain(Broken));
        assert!(found.is_empty() && result.unwrap_err().to_string() == "torn");
    }
}
