//! JPEG images, with zune-jpeg. Files that end early decode without an error there, so that this module looks for it.

mod layout;
mod source;

use std::cell::Cell;
use std::sync::MutexGuard;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use layout::Layout;
use source::{Filled, READ_AHEAD};

use super::{Extent, ImageReader, MISSING, orientation};
use crate::Error;

/// Images up to this number of bytes are always decoded twice, to find a loss of less than the decoder reads ahead.
const SMALL: usize = 1 << 17;

type Read = (DynamicImage, Option<MutexGuard<'static, ()>>);

/// What the head of a file says.
struct Head {
    width: u32,
    height: u32,
    gray: bool,
    orientation: Orientation,
}

/// What the decoder makes of a file.
struct Decoded {
    /// Pixels as far as they decode.
    pixels: Vec<u8>,
    /// Why the decoder stopped.
    error: Option<DecodeErrors>,
    /// The most bytes of a fill that the decoder read.
    fill: usize,
}

pub(super) fn read(reader: &ImageReader, bytes: &[u8]) -> Result<Read, Error> {
    let bytes = without_rest(bytes);
    let head = Head::of(bytes)?;
    let pixel = if head.gray { 1 } else { 3 };
    let lock = reader.admit(Extent { width: head.width, height: head.height, pixel })?;
    let pixels = head.pixels(reader, bytes)?;
    let image = if head.gray {
        GrayImage::from_raw(head.width, head.height, pixels).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(head.width, head.height, pixels).map(DynamicImage::ImageRgb8)
    };
    let mut image = image.ok_or_else(|| Error::Failed("the decoded JPEG image has another size".into()))?;
    image.apply_orientation(head.orientation);
    Ok((image, lock))
}

/// The file without zeros at its end, which interrupted downloads leave, and without the first byte of a marker there.
fn without_rest(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let marks = bytes[..bytes.len() - zeros].iter().rev().take_while(|byte| **byte == 0xFF).count();
    // In coded data, a zero after 0xFF means that the two bytes are not a marker.
    let end = if zeros == 0 { bytes.len() - marks } else { bytes.len() - zeros + marks.min(1) };
    &bytes[..end]
}

/// The lines of `pixels` before those at the end that the decoder did not write.
fn lines_there(pixels: &[u8], line: usize) -> usize {
    let lines = pixels.chunks_exact(line.max(1));
    let missing = lines.clone().rev().take_while(|line| line.iter().all(|byte| *byte == MISSING)).count();
    lines.len() - missing
}

impl Head {
    fn of(bytes: &[u8]) -> Result<Self, Error> {
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(ColorSpace::RGB, false));
        decoder.decode_headers().map_err(|error| match error {
            DecodeErrors::IoErrors(_) | DecodeErrors::ExhaustedData => {
                Error::data("the JPEG image ends early, before its pixels")
            }
            error => damaged(&error),
        })?;
        let (width, height) = decoder.dimensions().unwrap_or_default();
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let orientation = decoder.exif().and_then(|exif| orientation::of_exif(exif));
        Ok(Head {
            width: side(width),
            height: side(height),
            gray: decoder.input_colorspace() == Some(ColorSpace::Luma),
            orientation: orientation.unwrap_or(Orientation::NoTransforms),
        })
    }

    /// The pixels of a whole image, or of a partial one if the reader takes these.
    fn pixels(&self, reader: &ImageReader, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let layout = Layout::of(bytes);
        let coded = &bytes[..layout.end];
        let (all, complete) = layout.coefficients();
        if complete < all {
            let count = layout.scans;
            reader
                .partial
                .check(format!("the image ends early: its {count} scans complete {complete} of {all} coefficients"))?;
            return Ok(self.decode(&Filled::plain(coded), false).pixels);
        }
        let first = self.decode(&Filled::new(coded, &layout.seams, 0), true);
        let passes = first.error.is_none() && first.fill <= READ_AHEAD && layout.lines.is_none();
        if passes && layout.has_end && first.pixels.len() > SMALL {
            return Ok(first.pixels);
        }
        // Other fills change an image that lacks data, and no other.
        let second = self.decode(&Filled::new(coded, &layout.seams, u8::MAX), true);
        match first.error {
            // The decoder stopped before a fill.
            Some(error) if first.fill == 0 => return Err(damaged(&error)),
            None if first.pixels == second.pixels && layout.lines.is_none() => return Ok(first.pixels),
            _ => {}
        }
        let line = self.line();
        let pairs = first.pixels.chunks_exact(line).zip(second.pixels.chunks_exact(line));
        let same = pairs.take_while(|(a, b)| a == b).count().min(layout.lines.unwrap_or(usize::MAX));
        let there = same.min(lines_there(&first.pixels, line));
        if layout.progressive {
            reader.partial.check("the image ends early: it is progressive, and some of its scans are cut")?;
            return Ok(self.decode(&Filled::plain(coded), false).pixels);
        }
        reader.ends_early(there, self.height)?;
        let mut pixels = self.decode(&Filled::plain(coded), false).pixels;
        pixels[there * line..].fill(MISSING);
        Ok(pixels)
    }

    fn decode(&self, file: &Filled, strict: bool) -> Decoded {
        let space = if self.gray { ColorSpace::Luma } else { ColorSpace::RGB };
        let mut pixels = vec![MISSING; self.line() * self.height as usize];
        let fill = Cell::new(0);
        // Bytes between the segments of the head do no harm.
        let mut decoder = JpegDecoder::new_with_options(file.source(&fill), options(space, false));
        let error = decoder.decode_headers().err().or_else(|| {
            decoder.set_options(options(space, strict));
            decoder.decode_into(&mut pixels).err()
        });
        Decoded { pixels, error, fill: fill.get() }
    }

    /// Bytes of a line.
    fn line(&self) -> usize {
        self.width as usize * if self.gray { 1 } else { 3 }
    }
}

fn options(space: ColorSpace, strict: bool) -> DecoderOptions {
    let options = DecoderOptions::default().set_strict_mode(strict).jpeg_set_out_colorspace(space);
    options.set_max_width(usize::MAX).set_max_height(usize::MAX)
}

fn damaged(error: &DecodeErrors) -> Error {
    Error::data(format!("the JPEG image is damaged: {error}"))
}
