//! How much of a WebP file is there. Decoders read its chunks without a look at where the file ends.

/// How much of a WebP file is there.
#[derive(Clone, Copy, Debug)]
pub struct WebpExtent {
    /// The bytes that the file says it has and lacks.
    pub missing: usize,
    /// The frames of an animation that are there whole; 0 of a still image.
    pub frames: usize,
    /// Where the last one of them ends.
    pub end: usize,
}

impl WebpExtent {
    /// Reads the sizes of the file and of its chunks.
    pub fn of(bytes: &[u8]) -> WebpExtent {
        let u32_at = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
        let mut end = u32_at(4).unwrap_or(0).saturating_add(8);
        let inside = end.min(bytes.len());
        let (mut frames, mut last) = (0, 0);
        // The chunks come after the word `WEBP`; those of odd sizes are padded.
        let mut at = 12;
        while let Some(size) = u32_at(at + 4).filter(|_| at + 8 <= inside) {
            let after = at.saturating_add(8).saturating_add(size);
            if bytes[at..].starts_with(b"ANMF") && after <= bytes.len() {
                (frames, last) = (frames + 1, after);
            }
            end = end.max(after);
            at = after.saturating_add(size % 2);
        }
        WebpExtent { missing: end.saturating_sub(bytes.len()), frames, end: last }
    }

    /// True if the file ends early. A padding byte that is missing harms nothing.
    pub fn is_cut(&self) -> bool {
        self.missing > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_frames_and_missing_bytes_are_counted() {
        let chunk = |name: &[u8], size: u8| [name, &[size, 0, 0, 0], &vec![7; usize::from(size + size % 2)]].concat();
        let chunks = [chunk(b"VP8X", 10), chunk(b"ANIM", 6), chunk(b"ANMF", 33), chunk(b"ANMF", 20)].concat();
        let file = [b"RIFF", &(chunks.len() as u32 + 4).to_le_bytes()[..], b"WEBP", &chunks].concat();
        let of = |bytes: &[u8]| {
            let extent = WebpExtent::of(bytes);
            (extent.missing, extent.frames, extent.is_cut())
        };
        assert_eq!(of(&file), (0, 2, false));
        assert_eq!(of(&file[..file.len() - 1]), (1, 1, false));
        assert_eq!(of(&file[..file.len() - 2]), (2, 1, true));
        assert_eq!(of(&file[..file.len() - 29]), (29, 1, true));
        assert_eq!(of(&file[..file.len() - 30]), (30, 0, true));
        assert_eq!(of(&[&file[..], b"more"].concat()), (0, 2, false));
        for end in 0..12 {
            assert_eq!(of(&file[..end]).1, 0);
        }
        // A chunk that is larger than the file says.
        let mut wrong = file.clone();
        wrong[12 + 4..][..4].fill(0xFF);
        assert!(of(&wrong).2);
    }
}
