//! Image files <-> pixels of a given size.

use std::io::Cursor;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyflow_sdk::{Error, Parameters};
use image::codecs::png::PngEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageReader, Limits};

/// The most pixels of an image, so that a small file cannot ask for all memory.
const MAX_PIXELS: u64 = 64 << 20;
/// The longest side of an image.
const MAX_SIDE: u32 = 1 << 14;
/// The most bytes of an image during decoding, four per pixel.
const MAX_BYTES: u64 = 4 * MAX_PIXELS;
/// Larger images are decoded one at a time, so that the limit holds for all threads together.
const LARGE_BYTES: u64 = MAX_BYTES / 8;
static LARGE: Mutex<()> = Mutex::new(());

/// The size of the array.
#[derive(Clone, Copy, serde::Deserialize)]
pub(crate) struct Size {
    height: u32,
    width: u32,
}

impl Size {
    pub(crate) fn new(parameters: &Parameters) -> Result<Self, Error> {
        let size: Size = parameters.read()?;
        let sides = 1..=2048;
        if !sides.contains(&size.height) || !sides.contains(&size.width) {
            return Err(Error::Parameters(format!(
                "width x height is {} x {}; both must be from 1 to 2048",
                size.width, size.height
            )));
        }
        Ok(size)
    }
}

/// Reads a file: the first frame of an animation, rotated by its EXIF orientation, on a white background, stretched to
/// `size`.
pub(crate) fn read(bytes: &[u8], size: Size) -> Result<DynamicImage, Error> {
    let (mut image, _lock) = decode(bytes).map_err(|error| Error::data(format!("not an image: {error}")))?;
    if image.color().has_alpha() {
        image = on_white(image);
    }
    if (image.width(), image.height()) != (size.width, size.height) {
        image = image.resize_exact(size.width, size.height, FilterType::Lanczos3);
    }
    Ok(image)
}

/// The image, and the lock of a large one. The caller holds the lock until it has resized the image.
fn decode(bytes: &[u8]) -> image::ImageResult<(DynamicImage, Option<MutexGuard<'static, ()>>)> {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    let is_large = decoder.total_bytes() > LARGE_BYTES;
    let lock = is_large.then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner));
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok((image, lock))
}

fn on_white(image: DynamicImage) -> DynamicImage {
    let mut image = image.into_rgba8();
    for pixel in image.pixels_mut() {
        let alpha = u32::from(pixel[3]);
        for channel in &mut pixel.0[..3] {
            *channel = ((u32::from(*channel) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
        pixel[3] = 255;
    }
    DynamicImage::ImageRgba8(image)
}

/// Converts `interleaved: [pixel, channel]` to `planes: [channel, pixel]` between 0 and 1.
pub(crate) fn planes_from_interleaved(interleaved: &[u16], channels: usize, planes: &mut [f32]) {
    let pixels = planes.len() / channels;
    for (channel, plane) in planes.chunks_exact_mut(pixels).enumerate() {
        for (out, value) in plane.iter_mut().zip(interleaved.iter().skip(channel).step_by(channels)) {
            *out = f32::from(*value) / 65535.0;
        }
    }
}

/// Writes `planes: [channel, height, width]`, clamped to 0 to 1, as PNG.
pub(crate) fn write(planes: &[f32], size: Size, color: ExtendedColorType) -> Result<Vec<u8>, Error> {
    if let Some(at) = planes.iter().position(|value| !value.is_finite()) {
        return Err(Error::data(format!("the image holds {} at element {at}", planes[at])));
    }
    let channels = usize::from(color.channel_count());
    let pixels = planes.len() / channels;
    let mut interleaved = vec![0; planes.len()];
    for (channel, plane) in planes.chunks_exact(pixels).enumerate() {
        for (out, value) in interleaved.iter_mut().skip(channel).step_by(channels).zip(plane) {
            *out = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
        }
    }
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(&interleaved, size.width, size.height, color)
        .map_err(|error| Error::Failed(format!("writing PNG: {error}")))?;
    Ok(file)
}
