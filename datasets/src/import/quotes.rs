//! Quotation marks in tables of lines. In CSV they enclose a field and are doubled inside of it; in tables with tabs they
//! are often plain text.

use std::io::Read;
use std::path::Path;

use crate::error::{DatasetError, Result, io_error};

/// How a table uses quotation marks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quotes {
    stray: Option<Stray>,
    has_tabs: bool,
}

impl Quotes {
    /// Reads a whole table.
    ///
    /// # Errors
    /// [`DatasetError::Import`] for a mark that would take the rest of the file into one field.
    pub(super) fn of(file: &Path, table: impl Read, separator: u8) -> Result<Quotes> {
        let stray = first_stray(table, separator).map_err(io_error(file, "read"))?;
        match stray {
            Some(Stray::Open { line }) if separator != b'\t' => {
                let reason =
                    "a quotation mark opens a field and none closes it; add it, or double the mark".to_string();
                Err(DatasetError::Import { path: file.to_path_buf(), line: Some(line), reason })
            }
            stray => Ok(Quotes { stray, has_tabs: separator == b'\t' }),
        }
    }

    /// True if marks enclose no fields: in a table with tabs, one stray mark shows it.
    pub(super) fn are_text(&self) -> bool {
        self.stray.is_some() && self.has_tabs
    }

    /// What the user should know.
    pub(super) fn note(&self) -> Option<String> {
        let (Stray::Followed { line } | Stray::Open { line }) = self.stray?;
        Some(if self.has_tabs {
            format!("quotation marks are plain text, because those of line {line} enclose no field")
        } else {
            format!("line {line}: text follows a closing quotation mark, and is read without the marks")
        })
    }
}

/// The first quotation mark that does not follow the rules of CSV (RFC 4180).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stray {
    /// Text follows the closing mark of a field that ends in this line.
    Followed { line: u64 },
    /// The mark that opens a field in this line is never closed.
    Open { line: u64 },
}

/// Where a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    FieldStart,
    Plain,
    Quoted,
    /// After a mark in a quoted field: it closes the field, or the next mark doubles it.
    Closing,
}

/// Reads a table to its end, or to the first stray mark.
fn first_stray(mut table: impl Read, separator: u8) -> std::io::Result<Option<Stray>> {
    let mut buffer = vec![0; 1 << 16];
    let (mut place, mut line, mut opened) = (Place::FieldStart, 1, 1);
    loop {
        let count = table.read(&mut buffer)?;
        if count == 0 {
            return Ok((place == Place::Quoted).then_some(Stray::Open { line: opened }));
        }
        for byte in &buffer[..count] {
            place = match (place, *byte) {
                (Place::Quoted, b'"') => Place::Closing,
                (Place::Quoted, _) => Place::Quoted,
                (Place::Closing, b'"') => Place::Quoted,
                (_, b'\n' | b'\r') => Place::FieldStart,
                (_, byte) if byte == separator => Place::FieldStart,
                (Place::Closing, _) => return Ok(Some(Stray::Followed { line })),
                (Place::FieldStart, b'"') => {
                    opened = line;
                    Place::Quoted
                }
                (Place::FieldStart | Place::Plain, _) => Place::Plain,
            };
            line += u64::from(*byte == b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_break_the_rules_of_csv_are_found() {
        for (text, stray) in [
            ("a,b\n\"x, y\",2\n", None),
            ("a,b\n\"say \"\"x\"\"\",2\n", None),
            ("a,b\n5\" nail,2\n", None),
            ("a,b\r\n\"x\r\ny\"\r\n", None),
            ("a,b\n1,\"x\"", None),
            ("a,b\n1,2\n\"Hello\" he said,3\n", Some(Stray::Followed { line: 3 })),
            ("a,b\n\"Hello,3\n1,2\n", Some(Stray::Open { line: 2 })),
        ] {
            assert_eq!(first_stray(text.as_bytes(), b',').unwrap(), stray, "{text:?}");
        }
    }
}
