//! Images other than JPEG, with the decoders of the crate `image`.

use std::io::{Cursor, ErrorKind};
use std::sync::MutexGuard;

use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader as Decoders, ImageResult, Limits,
};

use super::{Extent, ImageReader, MISSING, lines_there, orientation};
use crate::Error;

type Read = (DynamicImage, Option<MutexGuard<'static, ()>>);

pub(super) fn read(reader: &ImageReader, bytes: &[u8], format: ImageFormat) -> Result<Read, Error> {
    if let Some(png) = (format == ImageFormat::Ico).then(|| png_in_icon(bytes)).flatten() {
        return read(reader, png, ImageFormat::Png);
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(reader.max_bytes);
    let mut decoders = Decoders::with_format(Cursor::new(bytes), format);
    decoders.limits(limits);
    let mut decoder = decoders.into_decoder().map_err(|error| refused(&error, format))?;
    let (width, height) = decoder.dimensions();
    let lock = reader.admit(Extent { width, height, pixel: decoder.color_type().bytes_per_pixel().into() })?;
    let orientation = upright(&mut decoder, bytes, format);
    let mut there = None;
    let salvage = Salvage { decoder, format, there: &mut there };
    let mut image = DynamicImage::from_decoder(salvage).map_err(|error| refused(&error, format))?;
    if let Some(lines) = there {
        reader.ends_early(lines, height)?;
    }
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

/// The orientation; images whose metadata are damaged count as upright.
fn upright(decoder: &mut impl ImageDecoder, bytes: &[u8], format: ImageFormat) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten();
    // A TIFF file has the form of an EXIF chunk.
    let exif = if format == ImageFormat::Tiff { Some(bytes) } else { exif.as_deref() };
    exif.and_then(orientation::of_exif).unwrap_or(Orientation::NoTransforms)
}

fn refused(error: &ImageError, format: ImageFormat) -> Error {
    let name = format!("{format:?}").to_uppercase();
    match error {
        error if ends_early(error) => Error::data(format!("the {name} image ends early, before its pixels")),
        ImageError::Limits(_) => Error::data(format!("the {name} image needs too much memory: {error}")),
        error => Error::data(format!("the {name} image is damaged or of a rare form: {error}")),
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

/// A decoder that keeps the lines before the end of a file that ends early, and counts them in `there`.
struct Salvage<'a, D> {
    decoder: D,
    format: ImageFormat,
    there: &'a mut Option<usize>,
}

impl<D: ImageDecoder> ImageDecoder for Salvage<'_, D> {
    fn dimensions(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    fn color_type(&self) -> ColorType {
        self.decoder.color_type()
    }

    fn read_image(self, pixels: &mut [u8]) -> ImageResult<()> {
        let (width, _) = self.decoder.dimensions();
        let color = self.decoder.color_type();
        pixels.fill(MISSING);
        match self.decoder.read_image(pixels) {
            Err(error) if ends_early(&error) => {
                *self.there = Some(lines_there(pixels, width as usize * usize::from(color.bytes_per_pixel())));
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
