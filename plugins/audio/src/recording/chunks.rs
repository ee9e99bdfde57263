//! Chunks of RIFF, W64, IFF, CAF and MP4 files, and how much of a sound is there.

/// How chunks are laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Four letters, 32 bits of length; padded to an even length.
    Riff,
    /// As `Riff`, with the highest byte first.
    Iff,
    /// 16 bytes that begin with four letters, 64 bits of length that count the head; padded to a multiple of eight.
    Wide,
    /// Four letters, 64 bits of length with the highest byte first; not padded.
    Caf,
    /// 32 bits of length, with the highest byte first, that count the head, then four letters; not padded. A length of 1
    /// stands for 64 bits that follow, 0 for the rest of the file.
    Mp4,
}

/// One chunk.
#[derive(Clone, Copy)]
pub(super) struct Chunk<'a> {
    pub(super) id: [u8; 4],
    /// Bytes of the body, as the file states.
    pub(super) stated: u64,
    /// The body and all that follows it.
    pub(super) rest: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The part of the body that is in the file.
    pub(super) fn body(&self) -> &'a [u8] {
        &self.rest[..self.rest.len().min(usize::try_from(self.stated).unwrap_or(usize::MAX))]
    }
}

/// Goes through chunks until one reaches beyond the file.
pub(super) struct Chunks<'a> {
    pub(super) layout: Layout,
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let id = *self.rest.get(if self.layout == Layout::Mp4 { 4 } else { 0 }..)?.first_chunk()?;
        let (head, stated) = match self.layout {
            Layout::Riff => (8, u64::from(u32_le(self.rest, 4)?)),
            Layout::Iff => (8, u64::from(u32_be(self.rest, 4)?)),
            Layout::Wide => (24, u64_le(self.rest, 16)?.saturating_sub(24)),
            Layout::Caf => (12, u64_be(self.rest, 4)?),
            Layout::Mp4 => match u32_be(self.rest, 0)? {
                0 => (8, u64::MAX),
                1 => (16, u64_be(self.rest, 8)?.saturating_sub(16)),
                length => (8, u64::from(length).saturating_sub(8)),
            },
        };
        let rest = self.rest.get(head..)?;
        let end = usize::try_from(stated).unwrap_or(usize::MAX).min(rest.len());
        self.rest = &rest[end..];
        let padding = match self.layout {
            Layout::Wide => stated.wrapping_neg() as usize % 8,
            Layout::Caf | Layout::Mp4 => 0,
            // Some writers leave the padding out. It is a zero, and no zero begins a chunk.
            _ if stated % 2 == 1 && self.rest.first() == Some(&0) => 1,
            _ => 0,
        };
        self.rest = self.rest.get(padding..).unwrap_or_default();
        Some(Chunk { id, stated, rest })
    }
}

/// Lengths from here on are no lengths: writers to a pipe give them.
pub(super) const ENDLESS: u64 = 0x7FFF_0000;

/// The bytes of a sound.
pub(super) struct Extent<'a> {
    /// Those in the file.
    pub(super) data: &'a [u8],
    /// Those that the file states: more than there are if it ends early.
    pub(super) stated: u64,
}

impl<'a> Extent<'a> {
    /// The extent of a chunk of samples. `missing` counts the bytes that the file lacks by the length in its first head:
    /// `None` if that is no length either.
    pub(super) fn of(chunk: &Chunk<'a>, missing: Option<u64>) -> Self {
        let Chunk { stated, rest, .. } = *chunk;
        let there = rest.len() as u64;
        let endless = if stated == 0 { !are_chunks(rest) } else { stated >= ENDLESS && stated > there };
        let whole = stated > there && missing == Some(0);
        if endless || whole {
            return Extent { data: rest, stated: there };
        }
        Extent { data: chunk.body(), stated }
    }
}

/// True if nothing or only chunks follow, as after a sound of no samples.
fn are_chunks(rest: &[u8]) -> bool {
    let mut rest = rest;
    while !rest.is_empty() {
        let Some(length) = u32_le(rest, 4) else { return false };
        let named = rest[..4].iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
        let end = length as usize + length as usize % 2 + 8;
        if !named || end > rest.len() + 1 {
            return false;
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    true
}

pub(super) fn u16_le(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

pub(super) fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn u64_le(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

pub(super) fn u16_be(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

pub(super) fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

pub(super) fn u64_be(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}
