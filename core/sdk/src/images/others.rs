//! Images other than JPEG, with the decoders of the crate `image`.

use std::borrow::Cow;
use std::io::{Cursor, ErrorKind};
use std::sync::MutexGuard;

use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader as Decoders, ImageResult, Limits,
};

use super::{Extent, ImageReader, MISSING, WebpExtent, nothing_there, orientation, whole_lines};
use crate::Error;

type Read = (DynamicImage, Option<MutexGuard<'static, ()>>);

pub(super) fn read(reader: &ImageReader, bytes: &[u8], format: ImageFormat) -> Result<Read, Error> {
    if let Some(png) = (format == ImageFormat::Ico).then(|| png_in_icon(bytes)).flatten() {
        return read(reader, png, ImageFormat::Png);
    }
    let mut file = File { bytes, format, lacking: lacking(bytes, format), max_bytes: reader.max_bytes };
    let filled = file.filled(MISSING);
    let mut decoder = file.decoder(&filled)?;
    let (width, height) = decoder.dimensions();
    let lock = reader.admit(Extent { width, height, pixel: decoder.color_type().bytes_per_pixel().into() })?;
    let orientation = upright(&mut decoder, bytes, format);
    let size = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
    let mut image = None;
    if file.lacking == 0 {
        let (whole, is_cut) = file.decode(decoder, MISSING)?;
        image = (!is_cut).then_some(whole);
        // The decoder gives nothing of a file that ends early.
        file.lacking = if format == ImageFormat::Pnm { size } else { 0 };
    }
    let mut image = match image {
        Some(image) => image,
        None => file.salvaged(reader, height)?,
    };
    image.apply_orientation(orientation);
    Ok((image, lock))
}

/// The largest image of an ICO file, if it is a PNG image. The decoder of ICO files takes only some kinds of these.
fn png_in_icon(bytes: &[u8]) -> Option<&[u8]> {
    let u32_at = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let count = usize::from(*bytes.get(4)?);
    // A side of 0 stands for 256 pixels.
    let side = |at: usize| bytes.get(at).map(|side| u32::from(side.wrapping_sub(1)) + 1);
    let largest = (0..count).map(|entry| 6 + 16 * entry).max_by_key(|at| Some(side(*at)? * side(at + 1)?))?;
    let (length, begin) = (u32_at(largest + 8)?, u32_at(largest + 12)?);
    bytes.get(begin..begin.checked_add(length)?).filter(|image| image.starts_with(b"\x89PNG"))
}

/// The bytes that the decoder would miss without a word, or with words that say something else.
fn lacking(bytes: &[u8], format: ImageFormat) -> usize {
    let extent = (format == ImageFormat::WebP).then(|| WebpExtent::of(bytes));
    // Of an animation, the first frame is read.
    extent.filter(|extent| extent.is_cut() && extent.frames == 0).map_or(0, |extent| extent.missing.min(1 << 26))
}

/// The orientation; images whose metadata are damaged count as upright.
fn upright(decoder: &mut impl ImageDecoder, bytes: &[u8], format: ImageFormat) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten();
    // A TIFF file has the form of an EXIF chunk.
    let exif = if format == ImageFormat::Tiff { Some(bytes) } else { exif.as_deref() };
    exif.and_then(orientation::of_exif).unwrap_or(Orientation::NoTransforms)
}

/// A file, and how many bytes are put behind it, so that the decoder reads all that is there.
struct File<'a> {
    bytes: &'a [u8],
    format: ImageFormat,
    lacking: usize,
    max_bytes: u64,
}

impl<'a> File<'a> {
    fn filled(&self, fill: u8) -> Cow<'a, [u8]> {
        match self.lacking {
            0 => Cow::Borrowed(self.bytes),
            count => Cow::Owned([self.bytes, &vec![fill; count]].concat()),
        }
    }

    fn decoder<'d>(&self, filled: &'d [u8]) -> Result<impl ImageDecoder + 'd, Error> {
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(self.max_bytes);
        let mut decoders = Decoders::with_format(Cursor::new(filled), self.format);
        decoders.limits(limits);
        decoders.into_decoder().map_err(|error| self.refused(&error))
    }

    /// The image, with `fill` where the decoder wrote nothing; true if the file ends early.
    fn decode(&self, decoder: impl ImageDecoder, fill: u8) -> Result<(DynamicImage, bool), Error> {
        let mut is_cut = false;
        let salvage = Salvage { decoder, format: self.format, fill, is_cut: &mut is_cut };
        let image = DynamicImage::from_decoder(salvage).map_err(|error| self.refused(&error))?;
        Ok((image, is_cut))
    }

    /// What is there of a file that ends early. What changes with the fill is not there.
    fn salvaged(&self, reader: &ImageReader, height: u32) -> Result<DynamicImage, Error> {
        let decode = |fill: u8| {
            let filled = self.filled(fill);
            self.decode(self.decoder(&filled)?, fill).map(|(image, _)| image)
        };
        let (Ok(first), Ok(second)) = (decode(MISSING), decode(!MISSING)) else {
            return Err(nothing_there(height));
        };
        let line = first.as_bytes().len() / height.max(1) as usize;
        reader.ends_early(whole_lines(first.as_bytes(), second.as_bytes(), line), height)?;
        Ok(first)
    }

    fn refused(&self, error: &ImageError) -> Error {
        let name = format!("{:?}", self.format).to_uppercase();
        match error {
            _ if self.lacking > 0 => {
                let (there, all) = (self.bytes.len(), self.bytes.len() + self.lacking);
                Error::data(format!(
                    "the {name} image ends early: {there} of {all} bytes are there, from which no line can be read"
                ))
            }
            error if ends_early(error) => Error::data(format!("the {name} image ends early, before its pixels")),
            ImageError::Limits(_) => Error::data(format!("the {name} image needs too much memory: {error}")),
            error => Error::data(format!("the {name} image is damaged or of a rare form: {error}")),
        }
    }
}

/// True if a decoder stopped at the end of the file.
pub fn ends_early(error: &ImageError) -> bool {
    match error {
        ImageError::IoError(error) => error.kind() == ErrorKind::UnexpectedEof,
        // The decoder of GIF images has an error of its own.
        ImageError::Decoding(error) => error.to_string().ends_with("Unexpected End of File"),
        _ => false,
    }
}

/// A decoder that keeps the pixels before the end of a file that ends early.
struct Salvage<'a, D> {
    decoder: D,
    format: ImageFormat,
    fill: u8,
    is_cut: &'a mut bool,
}

impl<D: ImageDecoder> ImageDecoder for Salvage<'_, D> {
    fn dimensions(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    fn color_type(&self) -> ColorType {
        self.decoder.color_type()
    }

    fn read_image(self, pixels: &mut [u8]) -> ImageResult<()> {
        let color = self.decoder.color_type();
        pixels.fill(self.fill);
        match self.decoder.read_image(pixels) {
            Err(error) if ends_early(&error) => {
                *self.is_cut = true;
                let deep = color.bytes_per_pixel() / color.channel_count() == 2;
                if deep && self.format == ImageFormat::Png {
                    // The decoder swaps the bytes of complete images only.
                    pixels
                        .as_chunks_mut::<2>()
                        .0
                        .iter_mut()
                        .for_each(|pair| *pair = u16::from_be_bytes(*pair).to_ne_bytes());
                }
                Ok(())
            }
            other => other,
        }
    }

    fn read_image_boxed(self: Box<Self>, pixels: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(pixels)
    }
}
