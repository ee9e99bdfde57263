//! Tells from its bytes what a file is, so that a refusal can name it.

mod magic;

use crate::Error;
use magic::{LFS, MEDIA, Magic, OTHERS};

/// What a codec reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Still images.
    Image,
    /// Sounds.
    Recording,
    /// Moving images.
    Film,
}

/// What the bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileContent {
    /// A noun phrase, such as `an AVIF image`.
    pub name: &'static str,
    /// What it is a file of, if it is one of the media.
    pub medium: Option<Medium>,
}

impl Medium {
    fn phrase(self) -> &'static str {
        match self {
            Medium::Image => "an image",
            Medium::Recording => "a recording",
            Medium::Film => "a film",
        }
    }
}

impl FileContent {
    /// Recognises common formats by their first bytes; `None` for all others.
    pub fn of(bytes: &[u8]) -> Option<FileContent> {
        let of = |table: &[Magic]| {
            let magic = table.iter().find(|magic| magic.is(bytes))?;
            Some(FileContent { name: magic.name, medium: magic.medium })
        };
        of(MEDIA)
            .or_else(|| bitmap(bytes))
            .or_else(|| boxed(bytes))
            .or_else(|| ogg(bytes))
            .or_else(|| of(OTHERS))
            .or_else(|| written(bytes))
    }
}

/// An error for a cell that holds no supported file of `medium`. It says what the cell holds. `supported` lists formats.
pub fn unreadable(bytes: &[u8], medium: Medium, supported: &str) -> Error {
    let wanted = medium.phrase();
    if bytes.is_empty() {
        return Error::data(format!("the cell is empty, 0 bytes; expected {wanted}"));
    }
    match FileContent::of(bytes) {
        Some(content) if content.medium == Some(medium) => {
            Error::data(format!("the cell holds {}, which is not supported; supported: {supported}", content.name))
        }
        Some(content) => Error::data(format!("the cell holds {}, not {wanted}{}", content.name, advice(bytes))),
        None if bytes.iter().all(|byte| *byte == 0) => {
            Error::data(format!("the cell holds {} zero bytes, not {wanted}", bytes.len()))
        }
        None => {
            let first: Vec<_> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            let first = first.join(" ");
            let length = bytes.len();
            Error::data(format!(
                "the cell holds {length} bytes of no known format (first bytes {first}), not {wanted}; supported: {supported}"
            ))
        }
    }
}

fn advice(bytes: &[u8]) -> String {
    if bytes.starts_with(LFS) {
        return "; `git lfs pull` fetches the file".into();
    }
    match excerpt(bytes) {
        Some(text) => format!(" (it begins with {text:?})"),
        None => String::new(),
    }
}

/// The first characters of a text.
fn excerpt(bytes: &[u8]) -> Option<String> {
    is_text(bytes).then(|| String::from_utf8_lossy(&bytes[..bytes.len().min(160)]).trim().chars().take(40).collect())
}

/// BMP files: two letters, and four reserved zeros, since texts begin with these letters as well.
fn bitmap(bytes: &[u8]) -> Option<FileContent> {
    let is = bytes.starts_with(b"BM") && bytes.get(6..10) == Some(&[0; 4]);
    is.then_some(FileContent { name: "a BMP image", medium: Some(Medium::Image) })
}

/// Files in boxes (ISO 14496-12), by their brands.
fn boxed(bytes: &[u8]) -> Option<FileContent> {
    let size = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    let brands = bytes.get(4..size.clamp(12, 64).min(bytes.len()))?.strip_prefix(b"ftyp")?;
    let has = |brand: &[u8]| brands.chunks_exact(4).any(|other| other == brand);
    let (name, medium) = if has(b"avif") || has(b"avis") {
        ("an AVIF image", Medium::Image)
    } else if [b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1"].iter().any(|brand| has(*brand)) {
        ("a HEIC image", Medium::Image)
    } else if has(b"M4A ") || has(b"M4B ") {
        ("an M4A (AAC) recording", Medium::Recording)
    } else if has(b"qt  ") {
        ("a QuickTime film", Medium::Film)
    } else {
        ("an MP4 film", Medium::Film)
    };
    Some(FileContent { name, medium: Some(medium) })
}

/// Files in Ogg pages, by the first packet.
fn ogg(bytes: &[u8]) -> Option<FileContent> {
    let page = bytes.starts_with(b"OggS").then(|| &bytes[..bytes.len().min(64)])?;
    let has = |word: &[u8]| page.windows(word.len()).any(|window| window == word);
    let (name, medium) = if has(b"OpusHead") {
        ("an Ogg Opus recording", Medium::Recording)
    } else if has(b"Speex   ") {
        ("an Ogg Speex recording", Medium::Recording)
    } else if has(b"theora") {
        ("an Ogg Theora film", Medium::Film)
    } else {
        ("an Ogg recording", Medium::Recording)
    };
    Some(FileContent { name, medium: Some(medium) })
}

/// Texts, by their first word.
fn written(bytes: &[u8]) -> Option<FileContent> {
    if !is_text(bytes) {
        return None;
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_lowercase();
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    let name = if text.is_empty() {
        "white space"
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") || text.contains("<html") {
        "an HTML page"
    } else if text.starts_with('<') && text.contains("<svg") {
        return Some(FileContent { name: "an SVG drawing", medium: Some(Medium::Image) });
    } else if text.starts_with("<?xml") {
        "an XML document"
    } else if text.starts_with(['{', '[']) {
        "JSON text"
    } else if text.starts_with("http://") || text.starts_with("https://") {
        "a web address"
    } else if text.starts_with("data:") {
        "a data URL"
    } else {
        "text"
    };
    Some(FileContent { name, medium: None })
}

/// True if the first bytes are UTF-8 without control characters other than white space.
fn is_text(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(1024)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may be cut at the end of the head.
        Err(error) if error.error_len().is_none() && head.len() < bytes.len() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_empty() && !valid.chars().any(|c| c.is_control() && !c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> String {
        unreadable(bytes, Medium::Image, "PNG and JPEG").to_string()
    }

    #[test]
    fn each_kind_of_cell_is_named() {
        let tar = [&[b'a'; 257][..], b"ustar"].concat();
        for (bytes, words) in [
            (&b""[..], "the cell is empty, 0 bytes"),
            (b"hello", "holds text, not an image (it begins with \"hello\")"),
            (b"  \n", "white space"),
            (b"<!DOCTYPE html><html>403</html>", "an HTML page, not an image"),
            (b"\xef\xbb\xbf\n<HTML>", "an HTML page"),
            (
                b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
                "an SVG drawing, which is not supported",
            ),
            (b"<?xml version='1.0'?><a/>", "an XML document"),
            (b"{\"error\": 404}", "JSON text"),
            (b"https://example.org/a.png", "a web address"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
                "a Git LFS pointer, not an image; `git lfs pull`",
            ),
            (b"\x1f\x8b\x08\0\0\0", "gzip data"),
            (b"PK\x03\x04", "a ZIP archive"),
            (&tar, "a tar archive"),
            (b"%PDF-1.7\n", "a PDF document"),
            (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image, which is not supported; supported: PNG and JPEG"),
            (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image, which is not supported"),
            (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "an AVIF image, which is not supported"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf", "an AVIF image"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image"),
            (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "an MP4 film, not an image"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "a WAV recording, not an image"),
            (b"RIFX\0\0\0\x24WAVEfmt ", "a WAV recording with the highest bytes first (RIFX), not an image"),
            (b"fLaC\0\0\0\x22", "a FLAC recording"),
            (&[0; 12], "12 zero bytes"),
            (b"\n\x89PNG\r\n\x1a\n", "9 bytes of no known format (first bytes 0a 89 50 4e 47 0d 0a 1a)"),
        ] {
            assert!(told(bytes).contains(words), "{words}: {}", told(bytes));
        }
        let opus =
            unreadable(b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0aaaa\x01\x13OpusHead", Medium::Recording, "WAV");
        assert_eq!(opus.to_string(), "the cell holds an Ogg Opus recording, which is not supported; supported: WAV");
    }

    #[test]
    fn short_and_cut_texts_do_not_panic() {
        let long = "ä".repeat(1000);
        for end in 0..long.len() {
            told(&long.as_bytes()[..end]);
        }
        assert!(told(long.as_bytes()).contains("text"));
        for end in 0..12 {
            told(&b"\0\0\0\x18ftypheic"[..end]);
        }
    }
}
