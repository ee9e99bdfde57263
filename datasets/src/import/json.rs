//! Scans JSON lines for values that Arrow's reader would change: numbers that it rounds, names that it drops.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};

use arrow::datatypes::{DataType, Schema};
use indexmap::IndexMap;

use super::exact::{is_decimal, is_integer};
use crate::spelling::nfc;

/// A line with a flaw.
pub(super) struct BadLine {
    /// The line number, from 1.
    pub(super) line: u64,
    /// The flaw.
    pub(super) flaw: Flaw,
}

/// A change that Arrow's reader would make silently.
pub(super) enum Flaw {
    /// An object repeats a name, and one value would be lost.
    Repeated(String),
    /// A nested number would be rounded.
    Rounded(String),
}

/// The columns that must be read as text, so that their numbers keep all digits, and the first such number of each.
pub(super) fn text_columns(lines: impl Read, schema: &Schema) -> Result<IndexMap<String, String>, BadLine> {
    let mut columns = IndexMap::new();
    for (line, text) in (1..).zip(BufReader::new(lines).split(b'\n')) {
        // The reader reports invalid JSON later.
        let Ok(text) = text else { break };
        let mut tokens = Tokens { text: &text, at: 0 };
        tokens.value(&mut Place::default(), schema, &mut columns).map_err(|flaw| BadLine { line, flaw })?;
    }
    Ok(columns)
}

/// The position of a value in a line.
#[derive(Default)]
struct Place {
    column: Option<String>,
    depth: u32,
}

/// The deepest values that are scanned. The reader refuses deeper ones.
const MAX_DEPTH: u32 = 128;

/// The text of a line. It need not be JSON; then the scan finds nothing.
struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl Tokens<'_> {
    fn value(
        &mut self,
        place: &mut Place,
        schema: &Schema,
        columns: &mut IndexMap<String, String>,
    ) -> Result<(), Flaw> {
        self.blank();
        match self.text.get(self.at) {
            Some(b'{') if place.depth < MAX_DEPTH => self.object(place, schema, columns),
            Some(b'[') if place.depth < MAX_DEPTH => {
                place.depth += 1;
                self.at += 1;
                while self.more(b']') {
                    self.value(place, schema, columns)?;
                }
                place.depth -= 1;
                Ok(())
            }
            Some(b'"') => {
                self.string();
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => self.number(place, schema, columns),
            Some(_) => {
                self.at += 1;
                while self.text.get(self.at).is_some_and(u8::is_ascii_alphabetic) {
                    self.at += 1;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn object(
        &mut self,
        place: &mut Place,
        schema: &Schema,
        columns: &mut IndexMap<String, String>,
    ) -> Result<(), Flaw> {
        let mut names = BTreeSet::new();
        place.depth += 1;
        self.at += 1;
        while self.more(b'}') {
            let start = self.at;
            self.string();
            let quoted = &self.text[start..self.at];
            let Ok(name) = serde_json::from_slice::<String>(quoted) else {
                self.at = self.text.len();
                break;
            };
            if !names.insert(nfc(&name)) {
                return Err(Flaw::Repeated(name));
            }
            self.blank();
            self.at += 1; // the colon
            if place.depth == 1 {
                place.column = Some(name);
            }
            self.value(place, schema, columns)?;
        }
        place.depth -= 1;
        Ok(())
    }

    fn number(&mut self, place: &Place, schema: &Schema, columns: &mut IndexMap<String, String>) -> Result<(), Flaw> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(|byte| b"+-.eE0123456789".contains(byte)) {
            self.at += 1;
        }
        let number = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        let whole = !number.contains(['.', 'e', 'E']);
        let column =
            place.column.as_deref().and_then(|name| Some((name, schema.field_with_name(name).ok()?.data_type())));
        let Some((name, data_type)) = column.filter(|_| whole) else { return Ok(()) };
        let kept = match leaf(data_type) {
            DataType::Utf8 => true,
            DataType::Int64 => is_integer(&number) || number == "-0",
            _ => number == "-0" || is_decimal(&number),
        };
        if kept {
            return Ok(());
        }
        if data_type.is_nested() {
            return Err(Flaw::Rounded(number));
        }
        columns.entry(name.to_string()).or_insert(number);
        Ok(())
    }

    /// Skips a string, starting at its quotation mark.
    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.text.get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(self.text.len());
    }

    /// Moves to the next value of a list or object; returns false at its end.
    fn more(&mut self, end: u8) -> bool {
        self.blank();
        if self.text.get(self.at) == Some(&b',') {
            self.at += 1;
            self.blank();
        }
        let found = self.text.get(self.at).copied();
        if found == Some(end) {
            self.at += 1;
        }
        found.is_some_and(|found| found != end)
    }

    fn blank(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }
}

/// The type of numbers in nested lists. For records, which may have several types, f64 stands for all.
fn leaf(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) => leaf(item.data_type()),
        DataType::Struct(_) => &DataType::Float64,
        other => other,
    }
}
