//! JPEG images, with zune-jpeg. Files that end early decode without an error there, so that this module looks for it.

use std::sync::MutexGuard;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::{Extent, ImageReader, MISSING, lines_there, orientation};
use crate::Error;

const END: [u8; 2] = [0xFF, 0xD9];
/// Bytes that stand for lost ones. A decoder that reads them makes other pixels than from nothing.
const NOISE: [u8; 32] = [0xAA; 32];
/// Images up to this number of bytes are always decoded twice, to find an end mark before the end.
const SMALL: usize = 1 << 17;
/// A multiple of the width of all blocks.
const PERIOD: usize = 32;

type Read = (DynamicImage, Option<MutexGuard<'static, ()>>);

/// What the head of a file says.
struct Head {
    width: u32,
    height: u32,
    gray: bool,
    progressive: bool,
    orientation: Orientation,
}

pub(super) fn read(reader: &ImageReader, bytes: &[u8]) -> Result<Read, Error> {
    // Interrupted downloads leave zeros.
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let bytes = &bytes[..bytes.len() - zeros];
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
            progressive: is_progressive(bytes),
            orientation: orientation.unwrap_or(Orientation::NoTransforms),
        })
    }

    /// The pixels of a whole image, or of a partial one if the reader takes these.
    fn pixels(&self, reader: &ImageReader, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let end = end_of(bytes);
        let scans = &bytes[..end.unwrap_or(bytes.len())];
        let ended = |more: &[u8]| [scans, more, &END].concat();
        let (pixels, error) = if end.is_some() { self.decode(bytes, true) } else { self.decode(&ended(&[]), true) };
        match (end, error) {
            (Some(_), Some(error)) => return Err(damaged(&error)),
            (Some(_), None) if pixels.len() > SMALL && !self.ends_in_a_pattern(&pixels) => return Ok(pixels),
            _ => {}
        }
        // Bytes behind the scans change an image that lacks some, and no other.
        let (other, _) = self.decode(&ended(&NOISE), true);
        if pixels == other {
            return Ok(pixels);
        }
        let line = self.line();
        let same = pixels.chunks_exact(line).zip(other.chunks_exact(line)).take_while(|(a, b)| a == b).count();
        if self.progressive {
            reader.partial.check("the image ends early: it is progressive, and some of its scans are not there")?;
        } else {
            reader.ends_early(same.min(lines_there(&pixels, line)), self.height)?;
        }
        let (mut pixels, _) = self.decode(&ended(&[]), false);
        if !self.progressive {
            pixels[same * line..].fill(MISSING);
        }
        Ok(pixels)
    }

    /// Pixels as far as they decode, and the reason why the decoder stopped.
    fn decode(&self, bytes: &[u8], strict: bool) -> (Vec<u8>, Option<DecodeErrors>) {
        let space = if self.gray { ColorSpace::Luma } else { ColorSpace::RGB };
        let mut pixels = vec![MISSING; self.line() * self.height as usize];
        // Bytes between the segments of the head do no harm.
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(space, false));
        let error = decoder.decode_headers().err().or_else(|| {
            decoder.set_options(options(space, strict));
            decoder.decode_into(&mut pixels).err()
        });
        (pixels, error)
    }

    /// Bytes of a line.
    fn line(&self) -> usize {
        self.width as usize * if self.gray { 1 } else { 3 }
    }

    /// True if the last line repeats itself: so it does where the decoder found an end mark before the end.
    fn ends_in_a_pattern(&self, pixels: &[u8]) -> bool {
        let period = PERIOD * if self.gray { 1 } else { 3 };
        let last = pixels.rchunks_exact(self.line().max(1)).next().unwrap_or_default();
        last.iter().zip(last.iter().skip(period)).all(|(a, b)| a == b)
    }
}

fn options(space: ColorSpace, strict: bool) -> DecoderOptions {
    let options = DecoderOptions::default().set_strict_mode(strict).jpeg_set_out_colorspace(space);
    options.set_max_width(usize::MAX).set_max_height(usize::MAX)
}

fn damaged(error: &DecodeErrors) -> Error {
    Error::data(format!("the JPEG image is damaged: {error}"))
}

/// The segments of the head up to the first scan: their markers, and where they begin.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, usize)> + '_ {
    let mut at = 2;
    std::iter::from_fn(move || {
        // Fill bytes may precede a marker.
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xFF)?;
        at += bytes.get(at..)?.iter().position(|byte| *byte != 0xFF)?;
        let marker = bytes[at];
        let begin = at + 1;
        let length = bytes.get(begin..)?.first_chunk().map(|length| u16::from_be_bytes(*length))?;
        at = begin + usize::from(length);
        Some((marker, begin))
    })
    .take(1 << 12)
}

fn is_progressive(bytes: &[u8]) -> bool {
    segments(bytes).take_while(|(marker, _)| *marker != 0xDA).any(|(marker, _)| marker == 0xC2)
}

/// Where the end mark after the first scan stands. Thumbnails in the head have end marks of their own.
fn end_of(bytes: &[u8]) -> Option<usize> {
    let (_, scan) = segments(bytes).find(|(marker, _)| *marker == 0xDA)?;
    let after = bytes.get(scan..)?;
    if after.ends_with(&END) {
        return Some(bytes.len() - END.len());
    }
    after.windows(END.len()).position(|pair| pair == END).map(|at| scan + at)
}
