//! The first directory of a TIFF file. An EXIF chunk has the same form.

/// The first directory, without that of a BigTIFF file.
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Directory<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first_chunk()? {
            b"MM\0*" => Some(Directory { bytes, big_endian: true }),
            b"II*\0" => Some(Directory { bytes, big_endian: false }),
            _ => None,
        }
    }

    /// The number of 8, 16 or 32 bits of a tag, and the place of its entry.
    pub(super) fn number(&self, tag: u16) -> Option<(u32, usize)> {
        let first = self.u32_at(4)? as usize;
        let entries = usize::from(self.u16_at(first)?);
        let entry = (0..entries).map(|entry| first + 2 + 12 * entry).find(|entry| self.u16_at(*entry) == Some(tag))?;
        let value = match self.u16_at(entry + 2)? {
            1 => u32::from(*self.bytes.get(entry + 8)?),
            3 => u32::from(self.u16_at(entry + 8)?),
            4 => self.u32_at(entry + 8)?,
            _ => return None,
        };
        Some((value, entry))
    }

    /// A copy of the file with another number of a tag of 16 bits.
    pub(super) fn with_number(&self, entry: usize, value: u16) -> Vec<u8> {
        let mut copy = self.bytes.to_vec();
        let value = if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
        if let Some(place) = copy.get_mut(entry + 8..entry + 10) {
            place.copy_from_slice(&value);
        }
        copy
    }

    fn u16_at(&self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32_at(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}
