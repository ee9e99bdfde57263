//! Recognizes encoded media by their first bytes, and reads size or duration from the header.

use std::fmt;

use serde::Serialize;

/// The properties in a header. Nothing is decoded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Media {
    /// `image/png`, `audio/wav` ...
    pub media_type: &'static str,
    /// Width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width_px: Option<u32>,
    /// Height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height_px: Option<u32>,
    /// Samples per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling_rate: Option<u32>,
    /// Duration in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_secs: Option<f64>,
}

/// Marks of other formats: their place, their bytes, the media type. The first that fits counts.
const OTHERS: &[(usize, &[u8], &str)] = &[
    (8, b"WEBP", "image/webp"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"\xff\x0a", "image/jxl"),
    (0, b"\0\0\0\x0cJXL ", "image/jxl"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xfa", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"FORM", "audio/aiff"),
    (0, b"RF64", "audio/wav"),
    (0, b".snd", "audio/basic"),
    (0, b"caff", "audio/x-caf"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypavis", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypmif1", "image/heic"),
    (4, b"ftypM4A ", "audio/mp4"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
];

impl Media {
    /// Recognizes a file by its first bytes; `None` if it is unknown.
    pub fn from_bytes(bytes: &[u8]) -> Option<Media> {
        let at = |offset: usize, magic: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(magic));
        if at(0, b"\x89PNG\r\n\x1a\n") {
            return Some(image("image/png", be32(bytes, 16), be32(bytes, 20)));
        }
        if at(0, b"\xff\xd8\xff") {
            let (width, height) = jpeg_size(bytes).unzip();
            return Some(image("image/jpeg", width, height));
        }
        if at(0, b"GIF8") {
            return Some(image("image/gif", le16(bytes, 6), le16(bytes, 8)));
        }
        if at(0, b"BM") && bytes.len() >= 26 {
            // A negative height means that rows start at the top.
            let height = le32(bytes, 22).map(|height| height.cast_signed().unsigned_abs());
            return Some(image("image/bmp", le32(bytes, 18), height));
        }
        if at(0, b"RIFF") && at(8, b"WAVE") {
            return Some(wav(bytes));
        }
        if at(0, b"fLaC") {
            return Some(flac(bytes));
        }
        let found = OTHERS.iter().find(|(offset, magic, _)| at(*offset, magic))?;
        Some(Media { media_type: found.2, ..Media::default() })
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.media_type)?;
        if let (Some(width), Some(height)) = (self.width_px, self.height_px) {
            write!(f, " {width}x{height}")?;
        }
        if let Some(rate) = self.sampling_rate {
            write!(f, " {rate} Hz")?;
        }
        self.duration_secs.map_or(Ok(()), |secs| write!(f, " {secs:.2} s"))
    }
}

fn image(media_type: &'static str, width_px: Option<u32>, height_px: Option<u32>) -> Media {
    Media { media_type, width_px, height_px, ..Media::default() }
}

/// Walks the segments to the frame header.
fn jpeg_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut offset = 2;
    loop {
        let marker = *bytes.get(offset + 1)?;
        let frame = (0xc0..=0xcf).contains(&marker) && ![0xc4, 0xc8, 0xcc].contains(&marker);
        if frame {
            return Some((be16(bytes, offset + 7)?, be16(bytes, offset + 5)?));
        }
        offset += 2 + be16(bytes, offset + 2)?.max(2) as usize;
    }
}

/// Walks the chunks: `fmt ` has the rates, `data` the length.
fn wav(bytes: &[u8]) -> Media {
    let mut media = Media { media_type: "audio/wav", ..Media::default() };
    let mut byte_rate = None;
    let mut offset = 12;
    while let (Some(name), Some(length)) = (bytes.get(offset..offset + 4), le32(bytes, offset + 4)) {
        if name == b"fmt " {
            media.sampling_rate = le32(bytes, offset + 12);
            byte_rate = le32(bytes, offset + 16).filter(|rate| *rate > 0);
        }
        if name == b"data" {
            // Streamed files have no length; use that of the data.
            let present = (length as usize).min(bytes.len() - offset - 8);
            media.duration_secs = byte_rate.map(|rate| present as f64 / f64::from(rate));
            break;
        }
        // Chunks are padded to even length.
        offset = offset.saturating_add(8 + length as usize + (length & 1) as usize);
    }
    media
}

/// STREAMINFO: 20 bits of rate at byte 18, 36 bits of sample count ending at byte 26.
fn flac(bytes: &[u8]) -> Media {
    let rate = be32(bytes, 18).map(|word| word >> 12).filter(|rate| *rate > 0);
    let samples = be32(bytes, 22).zip(bytes.get(21)).map(|(low, high)| u64::from(high & 0xf) << 32 | u64::from(low));
    let duration_secs = samples.zip(rate).map(|(samples, rate)| samples as f64 / f64::from(rate));
    Media { media_type: "audio/flac", sampling_rate: rate, duration_secs, ..Media::default() }
}

fn be16(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..offset + 2).map(|b| u32::from(b[0]) << 8 | u32::from(b[1]))
}

fn be32(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(be16(bytes, offset)? << 16 | be16(bytes, offset + 2)?)
}

fn le16(bytes: &[u8], offset: usize) -> Option<u32> {
    be16(bytes, offset).map(|word| (word >> 8) | (word & 0xff) << 8)
}

fn le32(bytes: &[u8], offset: usize) -> Option<u32> {
    be32(bytes, offset).map(u32::swap_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wav_header_has_rate_and_duration() {
        let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
        wav.extend(8000u32.to_le_bytes());
        wav.extend(16000u32.to_le_bytes());
        wav.extend([2, 0, 16, 0]);
        wav.extend(b"data\xff\xff\xff\xff");
        wav.extend(vec![0; 8000]);
        let media = Media::from_bytes(&wav).unwrap();
        assert_eq!((media.sampling_rate, media.duration_secs), (Some(8000), Some(0.5)));
        assert_eq!(media.to_string(), "audio/wav 8000 Hz 0.50 s");
    }

    #[test]
    fn image_headers_have_the_size() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x1c\0\0\0\x20";
        assert_eq!(Media::from_bytes(png).unwrap().to_string(), "image/png 28x32");
        let gif = b"GIF89a\x1c\0\x20\0";
        assert_eq!(Media::from_bytes(gif).unwrap().to_string(), "image/gif 28x32");
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\0\x20\0\x1c";
        assert_eq!(Media::from_bytes(jpeg).unwrap().to_string(), "image/jpeg 28x32");
    }

    #[test]
    fn no_prefix_of_a_header_panics() {
        for bytes in [&b"\xff\xd8\xff\xe0\0\x00"[..], b"RIFF....WAVEdata", b"fLaC", b"\x89PNG\r\n\x1a\n", b"BM", b""] {
            for end in 0..bytes.len() {
                let _ = Media::from_bytes(&bytes[..end]);
            }
            let _ = Media::from_bytes(bytes);
        }
    }
}
