//! GIF, APNG, WebP and MP4 files, and lists of images <-> frames of a given size.

use std::io::Cursor;

use anyflow_sdk::content::{FileContent, Medium, unreadable};
use anyflow_sdk::images::ImageReader;
use anyflow_sdk::{Error, Files, Partial};
use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::codecs::png::{PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::{
    AnimationDecoder, Delay, DynamicImage, ExtendedColorType, Frame, ImageDecoder, ImageEncoder, ImageFormat, Limits,
    RgbaImage,
};

use crate::mp4;
use crate::shape::{MAX_BYTES, MAX_SIDE, Shape, fitted, spread};

/// The most frames of an animation.
const MAX_FRAMES: usize = 1024;
/// The most pixels of all frames together, so that a small file cannot ask for all memory.
const MAX_PIXELS: u64 = 64 << 20;

/// The formats that [`read`] knows.
const SUPPORTED: &str = "MP4 with H.264, GIF, APNG, WebP and still images";

/// Reads a file: as many frames as `shape` has, spread evenly over those of the file, each on a white background and
/// stretched to `shape`. A still image is a video of one frame.
pub(crate) fn read(bytes: &[u8], shape: Shape) -> Result<Vec<DynamicImage>, Error> {
    if mp4::is(bytes) && FileContent::of(bytes).is_some_and(|content| content.medium == Some(Medium::Film)) {
        return mp4::read(bytes, shape);
    }
    let Some(moving) = decode(bytes) else {
        return match FileContent::of(bytes) {
            Some(FileContent { medium: Some(Medium::Image), .. }) => Ok(vec![still(bytes, shape)?; shape.frames]),
            _ => Err(unreadable(bytes, Medium::Film, SUPPORTED)),
        };
    };
    let frames = moving.map_err(|error| Error::data(format!("the animation is damaged or ends early: {error}")))?;
    if frames.is_empty() {
        return Err(Error::data("the animation has no frame"));
    }
    let frame = |index: usize| fitted(frames[spread(index, shape.frames, frames.len())].clone(), shape);
    Ok((0..shape.frames).map(frame).collect())
}

/// As [`read`], from one file per frame. Skipped frames are not decoded.
pub(crate) fn read_list(files: Files<'_>, shape: Shape) -> Result<Vec<DynamicImage>, Error> {
    let mut frames: Vec<DynamicImage> = Vec::with_capacity(shape.frames);
    let mut last = None;
    for index in 0..shape.frames {
        let at = spread(index, shape.frames, files.len().max(1));
        let file = files.get(at).ok_or_else(|| Error::data("the list has no frame"))?;
        let frame = match frames.last() {
            Some(same) if last == Some(at) => same.clone(),
            _ => still(file, shape).map_err(|error| match error {
                Error::Data(text) => Error::data(format!("frame {at}: {text}")),
                other => other,
            })?,
        };
        frames.push(frame);
        last = Some(at);
    }
    Ok(frames)
}

fn still(bytes: &[u8], shape: Shape) -> Result<DynamicImage, Error> {
    let reader = ImageReader { max_side: MAX_SIDE, max_bytes: MAX_BYTES, partial: Partial::Fail };
    reader.read(bytes, |image| shape.frame().place(image))
}

/// The frames of an animation; `None` for still images and other files.
fn decode(bytes: &[u8]) -> Option<image::ImageResult<Vec<RgbaImage>>> {
    let png = || -> image::ImageResult<_> {
        let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits())?;
        if decoder.is_apng()? { Ok(Some(collected(decoder.apng()?.into_frames())?)) } else { Ok(None) }
    };
    let webp = || -> image::ImageResult<_> {
        let mut decoder = WebPDecoder::new(Cursor::new(bytes))?;
        decoder.set_limits(limits())?;
        if decoder.has_animation() { Ok(Some(collected(decoder.into_frames())?)) } else { Ok(None) }
    };
    let gif = || -> image::ImageResult<_> {
        let mut decoder = GifDecoder::new(Cursor::new(bytes))?;
        decoder.set_limits(limits())?;
        Ok(Some(collected(decoder.into_frames())?))
    };
    let frames = match image::guess_format(bytes).ok()? {
        ImageFormat::Png => png(),
        ImageFormat::WebP => webp(),
        ImageFormat::Gif => gif(),
        _ => return None,
    };
    frames.transpose()
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    limits
}

fn collected(frames: impl Iterator<Item = image::ImageResult<Frame>>) -> image::ImageResult<Vec<RgbaImage>> {
    let mut all = Vec::new();
    let mut pixels = 0;
    for frame in frames {
        let image = frame?.into_buffer();
        pixels += u64::from(image.width()) * u64::from(image.height());
        if all.len() == MAX_FRAMES || pixels > MAX_PIXELS {
            let kind = image::error::LimitErrorKind::InsufficientMemory;
            return Err(image::ImageError::Limits(image::error::LimitError::from_kind(kind)));
        }
        all.push(image);
    }
    Ok(all)
}

/// Writes `[frame, channel, height, width]`, with one or three channels, clamped to 0 to 1, as a looping GIF with `fps`
/// frames per second.
pub(crate) fn write(array: &[f32], shape: Shape, channels: usize, fps: f64) -> Result<Vec<u8>, Error> {
    let failed = |error| Error::Failed(format!("writing GIF: {error}"));
    let mut file = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut file);
        encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
        for frame in frames(array, shape, channels)? {
            let rgba = frame.chunks_exact(channels).flat_map(|pixel| {
                let value = |channel: usize| pixel[channel % channels];
                [value(0), value(1), value(2), 255]
            });
            let image = RgbaImage::from_raw(shape.width, shape.height, rgba.collect())
                .ok_or_else(|| Error::Failed("a frame of another size".into()))?;
            let delay = Delay::from_numer_denom_ms((1000.0 / fps).round() as u32, 1);
            encoder.encode_frame(Frame::from_parts(image, 0, 0, delay)).map_err(failed)?;
        }
    }
    Ok(file)
}

/// Writes the same array as one PNG per frame.
pub(crate) fn write_list(array: &[f32], shape: Shape, channels: usize) -> Result<Vec<Vec<u8>>, Error> {
    let color = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let file = |frame: Vec<u8>| {
        let mut file = Vec::new();
        let written = PngEncoder::new(&mut file).write_image(&frame, shape.width, shape.height, color);
        written.map(|()| file).map_err(|error| Error::Failed(format!("writing PNG: {error}")))
    };
    frames(array, shape, channels)?.map(file).collect()
}

/// Converts `[frame, channel, pixel]` to the bytes `[pixel, channel]` of each frame.
fn frames(array: &[f32], shape: Shape, channels: usize) -> Result<impl Iterator<Item = Vec<u8>>, Error> {
    if let Some(at) = array.iter().position(|value| !value.is_finite()) {
        return Err(Error::data(format!("the animation holds {} at element {at}", array[at])));
    }
    let pixels = shape.pixels();
    let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    Ok(array.chunks_exact(channels * pixels).map(move |frame| {
        (0..pixels).flat_map(|pixel| (0..channels).map(move |channel| byte(frame[channel * pixels + pixel]))).collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_and_still_images_of_other_formats_are_films() {
        let shape = Shape { frames: 2, height: 16, width: 24 };
        let moving = include_bytes!("../../../tests/corpus/image/good-moving.webp");
        let frames: Vec<_> = read(moving, shape).unwrap().into_iter().map(|frame| frame.into_rgb8()).collect();
        // The decoder blends frames, which costs a level.
        let turned = image::imageops::rotate180(&frames[0]);
        assert!(frames[1].iter().zip(turned.iter()).all(|(a, b)| a.abs_diff(*b) <= 2));
        assert!(frames[0].iter().zip(frames[1].iter()).any(|(a, b)| a.abs_diff(*b) > 100));
        for still in [
            &include_bytes!("../../../tests/corpus/image/good.webp")[..],
            include_bytes!("../../../tests/corpus/image/good.jpeg"),
            include_bytes!("../../../tests/corpus/image/good.tiff"),
        ] {
            let frames = read(still, shape).unwrap();
            assert_eq!(frames[0], frames[1]);
        }
        for (file, words) in [
            (&include_bytes!("../../../tests/corpus/image/image.avif")[..], "an AVIF image, which is not supported"),
            (include_bytes!("../../../tests/corpus/audio/good.flac"), "a FLAC recording, not a film"),
            (&moving[..moving.len() / 2], "damaged or ends early"),
            (b"", "the cell is empty"),
        ] {
            let text = read(file, shape).unwrap_err().to_string();
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}
