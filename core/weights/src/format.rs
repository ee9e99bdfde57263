//! The format of a weights file, detected from its first bytes, never from its name.

use std::fs::File;
use std::io::{Read, Seek};

use crate::compressed;
use crate::error::{Result, WeightsError};
use crate::flaw::Stranger;

/// A format that holds tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Whatever is nothing else; reading it finds out.
    Safetensors,
    /// Safetensors compressed with Zstandard.
    Compressed,
    /// What `torch.save` writes, today or before.
    Pickle,
}

/// Bytes that a format is detected from: the magic word of a tar archive comes last.
const HEAD_BYTES: u64 = 512;
/// Offset of a tar archive's magic word.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;
/// Byte in front of the JSON of a safetensors header.
const JSON_START: usize = 8;

/// Detects the format and rewinds the file.
///
/// # Errors
/// [`WeightsError::Read`]; [`WeightsError::Stranger`] for files that often stand in the place of weights.
pub(crate) fn detect(file: &mut File) -> Result<Format> {
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut head).map_err(WeightsError::Read)?;
    file.rewind().map_err(WeightsError::Read)?;
    if let Some(stranger) = stranger(&head) {
        return Err(WeightsError::Stranger(stranger));
    }
    if head.starts_with(compressed::MAGIC) {
        return Ok(Format::Compressed);
    }
    // The length of a safetensors header can begin with any byte, also with that of a pickle.
    let is_safetensors = head.get(JSON_START) == Some(&b'{');
    let is_pickle = head.starts_with(b"PK") || head.first() == Some(&0x80) || head.get(TAR_MAGIC) == Some(b"ustar");
    Ok(if is_pickle && !is_safetensors { Format::Pickle } else { Format::Safetensors })
}

/// What a file without weights is.
fn stranger(head: &[u8]) -> Option<Stranger> {
    let text = String::from_utf8_lossy(head).trim_start().to_ascii_lowercase();
    if text.starts_with("version https://git-lfs") {
        Some(Stranger::Pointer)
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") {
        Some(Stranger::Page)
    } else if head.is_empty() {
        Some(Stranger::Empty)
    } else if is_flax(head) {
        Some(Stranger::Flax)
    } else {
        None
    }
}

/// True for MessagePack with names in front, as Flax saves parameters: a map, then a text.
fn is_flax(head: &[u8]) -> bool {
    let Some(first) = head.first() else { return false };
    let is_map = (0x81..=0x8f).contains(first) || [0xde, 0xdf].contains(first);
    let text_at = match first {
        0xde => 3,
        0xdf => 5,
        _ => 1,
    };
    let is_text = |byte: &u8| (0xa1..=0xbf).contains(byte) || [0xd9, 0xda].contains(byte);
    // A pickle begins with 0x80, the empty map.
    is_map && head.get(text_at).is_some_and(is_text) && head.get(JSON_START) != Some(&b'{')
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn detected(bytes: &[u8]) -> Result<Format> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let format = detect(&mut file);
        assert_eq!(file.stream_position().unwrap(), 0, "the file must be rewound");
        format
    }

    #[test]
    fn formats_are_detected_from_content() {
        let mut tar = vec![0; 512];
        tar[TAR_MAGIC].copy_from_slice(b"ustar");
        for pickle in [b"PK\x03\x04 and so on".as_slice(), b"\x80\x02}q\x00.", &tar] {
            assert_eq!(detected(pickle).unwrap(), Format::Pickle);
        }
        for length in [0x80u64, 0x4b50, 512] {
            let header = [&length.to_le_bytes(), b"{}".as_slice()].concat();
            assert_eq!(detected(&header).unwrap(), Format::Safetensors, "a header of {length} bytes");
        }
        assert_eq!(detected(b"something else").unwrap(), Format::Safetensors);
    }

    #[test]
    fn files_in_the_place_of_weights_are_named() {
        for (bytes, word) in [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n".as_slice(), "git lfs pull"),
            (b"\n<!DOCTYPE html><html>", "web page"),
            (b"<HTML><body>404", "web page"),
            (b"", "empty"),
            (b"\x82\xa7decoder\x83\xa7conv_in\x82", "Flax"),
        ] {
            let text = detected(bytes).unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
    }
}
