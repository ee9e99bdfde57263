//! Samples of a TIFF image -> pixels.

use image::{DynamicImage, ImageBuffer};

use super::super::MISSING;
use super::form::{Colors, Form};
use crate::Error;

/// Samples of 8 or 16 bits.
enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

/// The image of `raw` lines, of which those that are `missing` are grey.
pub(super) fn image(form: &Form, width: u32, height: u32, raw: &[u8], missing: &[bool]) -> Result<DynamicImage, Error> {
    let (channels, mut samples) = match &form.colors {
        Colors::Levels => (form.channels, levels(form, width, raw)),
        Colors::Floats => (1, Samples::Sixteen(floats(raw, missing, width)?)),
        Colors::YCbCr => (3, Samples::Eight(raw.as_chunks::<3>().0.iter().flat_map(|pixel| rgb(*pixel)).collect())),
        Colors::Palette(colors) => (3, Samples::Eight(picked(&unpacked(form.bits, width, raw), colors))),
    };
    let line = width as usize * usize::from(channels);
    for (row, _) in missing.iter().enumerate().filter(|(_, missing)| **missing) {
        match &mut samples {
            Samples::Eight(samples) => samples[row * line..][..line].fill(MISSING),
            Samples::Sixteen(samples) => samples[row * line..][..line].fill(u16::from_ne_bytes([MISSING; 2])),
        }
    }
    let image = match (channels, samples) {
        (1, Samples::Eight(samples)) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma8),
        (2, Samples::Eight(samples)) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA8),
        (3, Samples::Eight(samples)) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb8),
        (_, Samples::Eight(samples)) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgba8),
        (1, Samples::Sixteen(samples)) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma16),
        (2, Samples::Sixteen(samples)) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLumaA16),
        (3, Samples::Sixteen(samples)) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb16),
        (_, Samples::Sixteen(samples)) => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgba16),
    };
    image.ok_or_else(|| Error::Failed("the decoded TIFF image has another size".into()))
}

fn levels(form: &Form, width: u32, raw: &[u8]) -> Samples {
    match form.bits {
        8 => Samples::Eight(raw.to_vec()),
        16 => Samples::Sixteen(raw.as_chunks::<2>().0.iter().map(|bytes| u16::from_ne_bytes(*bytes)).collect()),
        32 => {
            let high = |bytes: &[u8; 4]| (u32::from_ne_bytes(*bytes) >> 16) as u16;
            Samples::Sixteen(raw.as_chunks::<4>().0.iter().map(high).collect())
        }
        bits => {
            let step = u8::MAX / ((1 << bits) - 1);
            Samples::Eight(unpacked(bits, width, raw).into_iter().map(|level| level * step).collect())
        }
    }
}

/// Samples of 1, 2, 4 or 8 bits, of lines that begin at bytes.
fn unpacked(bits: u8, width: u32, raw: &[u8]) -> Vec<u8> {
    if bits == 8 {
        return raw.to_vec();
    }
    let width = width as usize;
    let line = (width * usize::from(bits)).div_ceil(8).max(1);
    let each = usize::from(8 / bits);
    let sample = |line: &[u8], at: usize| {
        let shift = 8 - bits - (at % each) as u8 * bits;
        (line[at / each] >> shift) & ((1 << bits) - 1)
    };
    raw.chunks_exact(line).flat_map(|line| (0..width).map(move |at| sample(line, at))).collect()
}

/// The colours of indices.
fn picked(indices: &[u8], colors: &[u16]) -> Vec<u8> {
    let count = colors.len() / 3;
    let of = |index: u8| [0, 1, 2].map(|channel| (colors[channel * count + usize::from(index)] >> 8) as u8);
    indices.iter().flat_map(|index| of(*index)).collect()
}

/// Colours as JPEG has them (ITU-T T.871).
fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = [f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0];
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|level| level.round() as u8)
}

/// Converts numbers from 0 to 1 to levels. The file does not state the scale of other numbers.
fn floats(raw: &[u8], missing: &[bool], width: u32) -> Result<Vec<u16>, Error> {
    let numbers: Vec<f32> = raw.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect();
    let is_missing = |at: usize| missing.get(at / width.max(1) as usize) == Some(&true);
    let there = numbers.iter().enumerate().filter(|(at, _)| !is_missing(*at)).map(|(_, number)| *number);
    if let Some(other) = there.into_iter().find(|number| !(0.0..=1.0).contains(number)) {
        return Err(Error::data(format!(
            "the TIFF image holds the float {other}; floats from 0 to 1 are read; write it again with 8 or 16 bits"
        )));
    }
    Ok(numbers.into_iter().map(|number| (number * f32::from(u16::MAX)).round() as u16).collect())
}
