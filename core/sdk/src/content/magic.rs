//! Formats by their first bytes.

use super::Medium;

/// The bytes at one place of a file that tell its format.
pub(super) struct Magic {
    at: usize,
    bytes: &'static [u8],
    pub name: &'static str,
    pub medium: Option<Medium>,
}

impl Magic {
    pub fn is(&self, bytes: &[u8]) -> bool {
        bytes.get(self.at..).is_some_and(|rest| rest.starts_with(self.bytes))
    }
}

const fn image(bytes: &'static [u8], name: &'static str) -> Magic {
    Magic { at: 0, bytes, name, medium: Some(Medium::Image) }
}

const fn sound(at: usize, bytes: &'static [u8], name: &'static str) -> Magic {
    Magic { at, bytes, name, medium: Some(Medium::Recording) }
}

const fn film(at: usize, bytes: &'static [u8], name: &'static str) -> Magic {
    Magic { at, bytes, name, medium: Some(Medium::Film) }
}

const fn other(bytes: &'static [u8], name: &'static str) -> Magic {
    Magic { at: 0, bytes, name, medium: None }
}

/// The begin of a pointer to a large file.
pub(super) const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Media; the first match counts.
pub(super) const MEDIA: &[Magic] = &[
    image(b"\x89PNG\r\n\x1a\n", "a PNG image"),
    image(b"\xff\xd8\xff", "a JPEG image"),
    image(b"GIF8", "a GIF image"),
    image(b"II*\0", "a TIFF image"),
    image(b"MM\0*", "a TIFF image"),
    image(b"\0\0\x01\0", "an ICO image"),
    image(b"\xff\x0a", "a JPEG XL image"),
    image(b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    image(b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    image(b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    image(b"8BPS", "a Photoshop image"),
    image(b"\x76\x2f\x31\x01", "an OpenEXR image"),
    image(b"#?RADIANCE", "a Radiance HDR image"),
    image(b"qoif", "a QOI image"),
    image(b"DDS ", "a DDS image"),
    image(b"gimp xcf", "a GIMP image"),
    image(b"II\xbc\x01", "a JPEG XR image"),
    Magic { at: 8, bytes: b"WEBP", name: "a WebP image", medium: Some(Medium::Image) },
    sound(0, b"RIFX", "a WAV recording with the highest bytes first (RIFX)"),
    sound(8, b"WAVE", "a WAV recording"),
    sound(0, b"riff\x2e\x91\xcf\x11", "a W64 recording"),
    sound(8, b"AIF", "an AIFF recording"),
    sound(0, b".snd", "an AU recording"),
    sound(0, b"caff", "a CAF recording"),
    sound(0, b"fLaC", "a FLAC recording"),
    sound(0, b"ID3", "an MP3 recording"),
    sound(0, b"\xff\xfb", "an MP3 recording"),
    sound(0, b"\xff\xf3", "an MP3 recording"),
    sound(0, b"\xff\xf1", "an AAC recording"),
    sound(0, b"\xff\xf9", "an AAC recording"),
    sound(0, b"#!AMR", "an AMR recording"),
    sound(0, b"wvpk", "a WavPack recording"),
    sound(0, b"MAC ", "a Monkey's Audio recording"),
    sound(0, b"MThd", "a MIDI file"),
    film(8, b"AVI ", "an AVI film"),
    film(0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM film"),
    film(0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
    film(0, b"\0\0\x01\xba", "an MPEG film"),
    film(0, b"FLV\x01", "a Flash film"),
];

/// Other files.
pub(super) const OTHERS: &[Magic] = &[
    other(LFS, "a Git LFS pointer"),
    other(b"\x1f\x8b", "gzip data"),
    other(b"PK\x03\x04", "a ZIP archive"),
    other(b"BZh", "bzip2 data"),
    other(b"\xfd7zXZ\0", "xz data"),
    other(b"\x28\xb5\x2f\xfd", "Zstandard data"),
    other(b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    other(b"Rar!", "a RAR archive"),
    Magic { at: 257, bytes: b"ustar", name: "a tar archive", medium: None },
    other(b"%PDF", "a PDF document"),
    other(b"%!PS", "a PostScript document"),
    other(b"PAR1", "a Parquet file"),
    other(b"\x93NUMPY", "a NumPy array"),
    other(b"\x80\x04\x95", "a Python pickle"),
    other(b"\x89HDF", "an HDF5 file"),
    other(b"\x7fELF", "a program"),
];
