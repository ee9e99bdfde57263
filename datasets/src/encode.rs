//! Encodes files in memory: images as PNG, sounds as WAV.

use std::io::Cursor;

use crate::error::{DatasetError, Result};

/// An 8-bit gray PNG of `width * height` pixels, row by row.
pub(crate) fn gray_png(width: u32, height: u32, pixels: &[u8]) -> Result<Vec<u8>> {
    png(width, height, png::ColorType::Grayscale, pixels)
}

/// An 8-bit PNG of `width * height` pixels, row by row, red, green and blue of each.
pub(crate) fn rgb_png(width: u32, height: u32, pixels: &[u8]) -> Result<Vec<u8>> {
    png(width, height, png::ColorType::Rgb, pixels)
}

fn png(width: u32, height: u32, color: png::ColorType, pixels: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|error| DatasetError::internal("encoding an image", error))?;
    Ok(bytes)
}

/// A 16-bit WAV of one channel.
pub(crate) fn wav(sampling_rate: u32, samples: &[i16]) -> Result<Vec<u8>> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: sampling_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let written = hound::WavWriter::new(&mut bytes, spec).and_then(|mut writer| {
        samples.iter().try_for_each(|sample| writer.write_sample(*sample))?;
        writer.finalize()
    });
    written.map_err(|error| DatasetError::internal("encoding a sound", error))?;
    Ok(bytes.into_inner())
}
