//! Walks Thrift's compact protocol without building anything.
//!
//! The Parquet decoder allocates what a list claims to hold, and recurses for each level of a tree. A walk before it
//! proves that bytes back every claim, so that decoding needs at most a multiple of them.

/// The reason why bytes cannot be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The bytes end too early.
    Short,
    /// The bytes are not a record of the expected form.
    Wrong(&'static str),
}

/// Result of a step of the walk.
pub(super) type Walk<T> = Result<T, Flaw>;

/// The protocol's numbers of value kinds.
pub(super) mod kind {
    pub(in crate::read) const TRUE: u8 = 1;
    pub(in crate::read) const FALSE: u8 = 2;
    pub(in crate::read) const BYTE: u8 = 3;
    pub(in crate::read) const I16: u8 = 4;
    pub(in crate::read) const I32: u8 = 5;
    pub(in crate::read) const I64: u8 = 6;
    pub(in crate::read) const DOUBLE: u8 = 7;
    pub(in crate::read) const BINARY: u8 = 8;
    pub(in crate::read) const LIST: u8 = 9;
    pub(in crate::read) const SET: u8 = 10;
    pub(in crate::read) const MAP: u8 = 11;
    pub(in crate::read) const STRUCT: u8 = 12;
    pub(in crate::read) const UUID: u8 = 13;
}

/// The most levels of nested values; Parquet's records have fewer than ten.
const MAX_LEVELS: u32 = 24;

/// A position in encoded bytes.
pub(super) struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    levels: u32,
}

impl<'a> Walker<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Walker<'a> {
        Walker { bytes, at: 0, levels: 0 }
    }

    /// Bytes walked so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Walks a record. `kinds` are the kinds of its fields from 1 on (0: any). They must match, because the Parquet
    /// decoder relies on a field's number only. `field(walker, id)` walks the field and returns true, or leaves it to
    /// be skipped.
    pub(super) fn record(&mut self, kinds: &[u8], mut field: impl FnMut(&mut Self, i16, u8) -> Walk<bool>) -> Walk<()> {
        let mut last = 0i16;
        loop {
            let head = self.byte()?;
            let found = head & 15;
            if found == 0 {
                return Ok(());
            }
            let id = match head >> 4 {
                0 => i16::try_from(self.integer()?).map_err(|_| Flaw::Wrong("a field's number is out of range"))?,
                step => last.checked_add(step.into()).ok_or(Flaw::Wrong("a field's number is out of range"))?,
            };
            if id <= last {
                return Err(Flaw::Wrong("fields are repeated or out of order"));
            }
            last = id;
            let expected = usize::try_from(id - 1).ok().and_then(|place| kinds.get(place)).copied().unwrap_or(0);
            let is_bool = expected == kind::TRUE && found == kind::FALSE;
            if expected != 0 && expected != found && !is_bool {
                return Err(Flaw::Wrong("a field is of another kind than the format says"));
            }
            if !field(self, id, found)? {
                self.skip(found, true)?;
            }
        }
    }

    /// Walks a list, and calls `item` for each of its values.
    pub(super) fn list(&mut self, expected: u8, mut item: impl FnMut(&mut Self) -> Walk<()>) -> Walk<u64> {
        let (count, found) = self.list_head()?;
        if count > 0 && found != expected {
            return Err(Flaw::Wrong("a list holds values of another kind than the format says"));
        }
        (0..count).try_for_each(|_| item(self))?;
        Ok(count)
    }

    /// A signed integer.
    pub(super) fn integer(&mut self) -> Walk<i64> {
        let value = self.unsigned()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Bytes, preceded by their length.
    pub(super) fn binary(&mut self) -> Walk<&'a [u8]> {
        let length = self.unsigned()?;
        let start = self.at;
        self.pass(length)?;
        Ok(&self.bytes[start..self.at])
    }

    fn list_head(&mut self) -> Walk<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.unsigned()? } else { u64::from(head >> 4) };
        // Every value has at least one byte.
        if count > (self.bytes.len() - self.at) as u64 { Err(Flaw::Short) } else { Ok((count, head & 15)) }
    }

    fn skip(&mut self, found: u8, is_field: bool) -> Walk<()> {
        self.levels += 1;
        if self.levels > MAX_LEVELS {
            return Err(Flaw::Wrong("its values are nested too deeply"));
        }
        match found {
            kind::TRUE | kind::FALSE => self.pass(u64::from(!is_field))?,
            kind::BYTE => self.pass(1)?,
            kind::I16 | kind::I32 | kind::I64 => drop(self.unsigned()?),
            kind::DOUBLE => self.pass(8)?,
            kind::BINARY => drop(self.binary()?),
            kind::LIST | kind::SET => {
                let (count, item) = self.list_head()?;
                (0..count).try_for_each(|_| self.skip(item, false))?;
            }
            kind::MAP => {
                let count = self.unsigned()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                for _ in 0..count {
                    self.skip(kinds >> 4, false)?;
                    self.skip(kinds & 15, false)?;
                }
            }
            kind::STRUCT => self.record(&[], |_, _, _| Ok(false))?,
            kind::UUID => self.pass(16)?,
            _ => return Err(Flaw::Wrong("a value is of a kind that does not exist")),
        }
        self.levels -= 1;
        Ok(())
    }

    fn unsigned(&mut self) -> Walk<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(Flaw::Wrong("a number is too long"))
    }

    fn byte(&mut self) -> Walk<u8> {
        let byte = self.bytes.get(self.at).copied().ok_or(Flaw::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn pass(&mut self, count: u64) -> Walk<()> {
        if count > (self.bytes.len() - self.at) as u64 {
            return Err(Flaw::Short);
        }
        self.at += count as usize;
        Ok(())
    }
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Flaw::Short => "it ends too early, or claims to hold more than it does",
            Flaw::Wrong(reason) => reason,
        })
    }
}
