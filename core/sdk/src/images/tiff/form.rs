//! The forms of TIFF images.

use tiff::ColorType;
use tiff::tags::{CompressionMethod, PlanarConfiguration, SampleFormat, Tag};

use super::{File, damaged};
use crate::Error;

/// The tag of the kind of colours, and its value for a palette.
pub(super) const PHOTOMETRIC: u16 = 262;
pub(super) const PALETTE: u32 = 3;
/// Other values of it (TIFF 6.0, and its technical notes).
const WHITE_IS_ZERO: u16 = 0;
const TRANSPARENCY_MASK: u16 = 4;
const LAB: std::ops::RangeInclusive<u16> = 8..=10;

/// The samples of an image.
pub(super) struct Form {
    pub(super) channels: u8,
    /// Bits of a sample.
    pub(super) bits: u8,
    pub(super) colors: Colors,
    pub(super) is_jpeg: bool,
    /// True if the samples in the file are those of the image, so that a part of a strip has lines of the image.
    pub(super) is_plain: bool,
}

/// What samples stand for.
pub(super) enum Colors {
    /// Grey, or red, green and blue; an even number of channels ends with opacity.
    Levels,
    /// Numbers of 32 bits from 0 to 1.
    Floats,
    YCbCr,
    /// Indices of colours: all reds, then all greens, then all blues, of 16 bits.
    Palette(Vec<u16>),
}

impl Form {
    /// The form of an image; `None` if the crate `image` reads it.
    ///
    /// # Errors
    /// Nothing reads it.
    pub(super) fn of(file: &mut File<'_>, is_palette: bool) -> Result<Option<Form>, Error> {
        let number = |file: &mut File<'_>, tag| file.find_tag_unsigned::<u16>(tag).ok().flatten();
        let compression = number(file, Tag::Compression).unwrap_or(1);
        if let Some(method) = unread(compression) {
            return Err(rare(&format!("is compressed with {method}")));
        }
        let photometric = number(file, Tag::PhotometricInterpretation).unwrap_or(1);
        if LAB.contains(&photometric) {
            return Err(rare("has Lab colours"));
        }
        if photometric == TRANSPARENCY_MASK {
            return Err(rare("is a mask"));
        }
        let formats = file.find_tag_unsigned_vec::<u16>(Tag::SampleFormat).ok().flatten().unwrap_or_default();
        let format = formats.first().map_or(SampleFormat::Uint, |format| SampleFormat::from_u16_exhaustive(*format));
        let is_planar = number(file, Tag::PlanarConfiguration) == Some(PlanarConfiguration::Planar.to_u16());
        let color = file.colortype().map_err(|error| damaged(&error))?;
        let is_float = format == SampleFormat::IEEEFP;
        match format {
            SampleFormat::Uint | SampleFormat::IEEEFP => {}
            SampleFormat::Int => return Err(rare("holds signed integers")),
            _ => return Err(rare("holds no plain numbers")),
        }
        let (channels, bits) = match color {
            ColorType::Gray(32) if is_float => (1, 32),
            ColorType::RGB(32) | ColorType::RGBA(32) if is_float => return Ok(None),
            _ if is_float => return Err(rare(&format!("holds floats of {} bits", color.bit_depth()))),
            ColorType::CMYK(8 | 16) => return Ok(None),
            ColorType::RGB(8 | 16) | ColorType::RGBA(8 | 16) if is_planar => return Ok(None),
            ColorType::Gray(bits @ (1 | 2 | 4 | 8 | 16 | 32)) => (1, bits),
            ColorType::Multiband { bit_depth: bits @ (8 | 16), num_samples: 2 } if !is_planar => (2, bits),
            ColorType::RGB(bits @ (8 | 16)) => (3, bits),
            ColorType::RGBA(bits @ (8 | 16)) => (4, bits),
            ColorType::YCbCr(8) if !is_planar => (3, 8),
            color => {
                let (samples, bits) = (color.num_samples(), color.bit_depth());
                return Err(rare(&format!("has {samples} channels of {bits} bits (of kind {photometric})")));
            }
        };
        let colors = match color {
            _ if is_palette && channels > 1 => return Err(rare("has a palette and opacity")),
            _ if is_palette => Colors::Palette(palette(file, bits)?),
            _ if is_float => Colors::Floats,
            ColorType::YCbCr(_) => Colors::YCbCr,
            _ => Colors::Levels,
        };
        let no_predictor = number(file, Tag::Predictor).is_none_or(|predictor| predictor == 1);
        let is_jpeg = compression == CompressionMethod::ModernJPEG.to_u16();
        let is_plain = bits <= 8 && no_predictor && !is_jpeg && photometric != WHITE_IS_ZERO;
        Ok(Some(Form { channels, bits, colors, is_jpeg, is_plain }))
    }

    /// Bytes of a pixel in memory.
    pub(super) fn bytes_per_pixel(&self) -> u64 {
        let channels = if matches!(self.colors, Colors::Palette(_)) { 3 } else { u64::from(self.channels) };
        channels * u64::from(self.bits.div_ceil(8))
    }
}

/// The colours of a palette for indices of this many bits.
fn palette(file: &mut File<'_>, bits: u8) -> Result<Vec<u16>, Error> {
    let colors = file.find_tag_unsigned_vec::<u16>(Tag::ColorMap).ok().flatten().unwrap_or_default();
    if bits > 8 || colors.len() != 3 << bits {
        let found = colors.len();
        return Err(Error::data(format!(
            "the palette of the TIFF image has {found} values for indices of {bits} bits"
        )));
    }
    Ok(colors)
}

/// The name of a compression that is not read.
fn unread(method: u16) -> Option<String> {
    Some(match method {
        1 | 4 | 5 | 7 | 8 | 32_773 | 32_946 => return None,
        2 | 3 => "an old fax code".into(),
        6 => "JPEG in its old form".into(),
        34_712 => "JPEG 2000".into(),
        34_887 => "LERC".into(),
        34_925 => "LZMA".into(),
        50_000 => "Zstandard".into(),
        50_001 => "WebP".into(),
        50_002 => "JPEG XL".into(),
        method => format!("the method {method}"),
    })
}

fn rare(what: &str) -> Error {
    Error::data(format!(
        "the TIFF image {what}, which is not read; write it again as grey or RGB with 8 or 16 bits and LZW or Deflate"
    ))
}
