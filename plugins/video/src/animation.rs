//! GIF, APNG, WebP and MP4 files, and lists of images <-> frames of a given size.

use std::io::{self, Cursor};

use anyflow_sdk::content::{FileContent, Medium, unreadable};
use anyflow_sdk::images::{ImageReader, WebpExtent, ends_early};
use anyflow_sdk::{Error, Files, Partial};
use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::codecs::png::{PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::{
    AnimationDecoder, Delay, DynamicImage, ExtendedColorType, Frame, ImageDecoder, ImageEncoder, ImageError,
    ImageFormat, Limits, RgbaImage,
};

use crate::excerpt::{Excerpt, FrameTimes};
use crate::mp4;
use crate::shape::{MAX_BYTES, MAX_SIDE, Shape, fitted, spread};

/// The most frames of an excerpt.
const MAX_FRAMES: usize = 1024;
/// The most pixels of all frames of an excerpt together, so that a small file cannot ask for all memory.
const MAX_PIXELS: u64 = 64 << 20;
/// The most pixels of all frames that are decoded: a few seconds of work.
const MAX_DECODED: u64 = 1 << 30;
/// Seconds of frames that state no duration, as browsers show them.
const USUAL_SECONDS: f64 = 0.1;

/// The formats that [`read`] knows.
const SUPPORTED: &str = "MP4 with H.264, GIF, APNG, WebP and still images";

/// Reads the excerpt of a file: as many frames as `shape` has, spread evenly over those of the excerpt, each on a white
/// background and stretched to `shape`. A still image is a video of one frame of any length.
pub(crate) fn read(bytes: &[u8], shape: Shape, excerpt: &Excerpt) -> Result<Vec<DynamicImage>, Error> {
    if mp4::is(bytes) && FileContent::of(bytes).is_some_and(|content| content.medium == Some(Medium::Film)) {
        return mp4::read(bytes, shape, excerpt);
    }
    let Some(moving) = decode(bytes, excerpt) else {
        return match FileContent::of(bytes) {
            Some(FileContent { medium: Some(Medium::Image), .. }) => {
                Ok(vec![still(bytes, shape, excerpt.partial)?; shape.frames])
            }
            _ => Err(unreadable(bytes, Medium::Film, SUPPORTED)),
        };
    };
    let damaged = |error: ImageError| Error::data(format!("the animation is damaged or ends early: {error}"));
    let Decoded { frames, times, all, error } = moving.map_err(damaged)?;
    match error {
        Some(error) if ends_early(&error) && all == 0 => {
            return Err(Error::data("the animation ends early: 0 frames are there"));
        }
        Some(error) if ends_early(&error) => {
            excerpt.partial.check(format!("the animation ends early: {all} frames are there"))?;
        }
        Some(error) => return Err(damaged(error)),
        None if all == 0 => return Err(Error::data("the animation has no frame")),
        None => {}
    }
    // The first frames are not in memory if they are before the excerpt.
    let shown = excerpt.frames(&times)?;
    let frames = &frames[frames.len() - (all - shown.start)..];
    let frame = |index: usize| fitted(frames[spread(index, shape.frames, shown.len())].clone(), shape);
    Ok((0..shape.frames).map(frame).collect())
}

/// As [`read`], from one file per frame. Skipped frames are not decoded.
pub(crate) fn read_list(files: Files<'_>, shape: Shape, partial: Partial) -> Result<Vec<DynamicImage>, Error> {
    let mut frames: Vec<DynamicImage> = Vec::with_capacity(shape.frames);
    let mut last = None;
    for index in 0..shape.frames {
        let at = spread(index, shape.frames, files.len().max(1));
        let file = files.get(at).ok_or_else(|| Error::data("the list has no frame"))?;
        let frame = match frames.last() {
            Some(same) if last == Some(at) => same.clone(),
            _ => still(file, shape, partial).map_err(|error| match error {
                Error::Data(text) => Error::data(format!("frame {at}: {text}")),
                other => other,
            })?,
        };
        frames.push(frame);
        last = Some(at);
    }
    Ok(frames)
}

fn still(bytes: &[u8], shape: Shape, partial: Partial) -> Result<DynamicImage, Error> {
    let reader = ImageReader { max_side: MAX_SIDE, max_bytes: MAX_BYTES, partial };
    reader.read(bytes, |image| shape.frame().place(image))
}

/// What the decoder makes of an animation, up to the end of the excerpt.
struct Decoded {
    /// The last frames, without those before the excerpt.
    frames: Vec<RgbaImage>,
    /// The times of all frames.
    times: FrameTimes,
    /// The number of all frames.
    all: usize,
    /// Why the decoder stopped.
    error: Option<ImageError>,
}

/// The frames of an animation; `None` for still images and other files.
fn decode(bytes: &[u8], excerpt: &Excerpt) -> Option<image::ImageResult<Decoded>> {
    let png = || -> image::ImageResult<_> {
        let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits())?;
        if decoder.is_apng()? { Ok(Some(collected(decoder.apng()?.into_frames(), excerpt))) } else { Ok(None) }
    };
    let webp = || -> image::ImageResult<_> {
        let extent = WebpExtent::of(bytes);
        // The decoder makes frames of what is behind the end of the file.
        let whole = if extent.is_cut() && extent.frames > 0 { &bytes[..extent.end] } else { bytes };
        let mut decoder = match WebPDecoder::new(Cursor::new(whole)) {
            // A still image that ends early is read as one.
            Err(_) if extent.is_cut() && extent.frames == 0 => return Ok(None),
            decoder => decoder?,
        };
        decoder.set_limits(limits())?;
        if !decoder.has_animation() {
            return Ok(None);
        }
        let frames = decoder.into_frames();
        if !extent.is_cut() {
            return Ok(Some(collected(frames, excerpt)));
        }
        let end = ImageError::IoError(io::ErrorKind::UnexpectedEof.into());
        Ok(Some(collected(frames.take(extent.frames).chain([Err(end)]), excerpt)))
    };
    let gif = || -> image::ImageResult<_> {
        let mut decoder = GifDecoder::new(Cursor::new(bytes))?;
        decoder.set_limits(limits())?;
        Ok(Some(collected(decoder.into_frames(), excerpt)))
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

fn collected(frames: impl Iterator<Item = image::ImageResult<Frame>>, excerpt: &Excerpt) -> Decoded {
    let times = FrameTimes { begin: Vec::new(), end: 0.0 };
    let mut found = Decoded { frames: Vec::new(), times, all: 0, error: None };
    let (mut pixels, mut decoded) = (0, 0);
    for frame in frames {
        let frame = match frame {
            Ok(frame) if !excerpt.ends_before(found.times.end) => frame,
            other => {
                found.error = other.err();
                break;
            }
        };
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let seconds = f64::from(numerator) / f64::from(denominator.max(1)) / 1000.0;
        found.times.begin.push(found.times.end);
        found.times.end += if seconds > 0.0 { seconds } else { USUAL_SECONDS };
        found.all += 1;
        let image = frame.into_buffer();
        decoded += u64::from(image.width()) * u64::from(image.height());
        if !excerpt.begins_after(found.times.end) {
            pixels += u64::from(image.width()) * u64::from(image.height());
            found.frames.push(image);
        }
        if found.frames.len() > MAX_FRAMES || pixels > MAX_PIXELS || decoded > MAX_DECODED {
            let kind = image::error::LimitErrorKind::InsufficientMemory;
            found.error = Some(ImageError::Limits(image::error::LimitError::from_kind(kind)));
            break;
        }
    }
    found
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
    use anyflow_sdk::Parameters;
    use serde_json::json;

    use super::*;

    fn excerpt(parameters: serde_json::Value) -> Excerpt {
        Excerpt::new(&Parameters::new(parameters)).unwrap()
    }

    fn read(bytes: &[u8], shape: Shape) -> Result<Vec<DynamicImage>, Error> {
        super::read(bytes, shape, &excerpt(json!({})))
    }

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
            (&moving[..moving.len() / 2], "the animation ends early: 0 frames are there"),
            (&moving[..moving.len() - 2], "the animation ends early: 1 frames are there"),
            (include_bytes!("../../../tests/corpus/image/cut.webp"), "the image ends early: "),
            (b"", "the cell is empty"),
        ] {
            let text = read(file, shape).unwrap_err().to_string();
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn a_cut_webp_animation_has_the_frames_that_are_there_whole() {
        let shape = Shape { frames: 3, height: 48, width: 48 };
        for file in [
            &include_bytes!("../../../tests/corpus/image/good-moving-lossy.webp")[..],
            include_bytes!("../../../tests/corpus/image/good-moving.webp"),
        ] {
            let all = read(file, shape).unwrap();
            let chunks: Vec<usize> = (0..file.len()).filter(|at| file[*at..].starts_with(b"ANMF")).collect();
            for (there, begin) in chunks.iter().enumerate() {
                for end in [begin + 9, begin + 40, chunks.get(there + 1).unwrap_or(&file.len()) - 2] {
                    let text = read(&file[..end], shape).unwrap_err().to_string();
                    assert!(text.contains(&format!("ends early: {there} ")), "{text}");
                    let partial = super::read(&file[..end], shape, &excerpt(json!({"partial": "accept"})));
                    assert_eq!(partial.is_ok(), there > 0, "{there}");
                    assert!(partial.is_err() || partial.unwrap()[0] == all[0]);
                }
            }
            // The last byte may be padding.
            assert!(read(&file[..file.len() - 1], shape).is_ok());
        }
    }

    /// Twelve frames of a quarter of a second, each of a level of its own.
    fn film() -> (Vec<u8>, Shape) {
        let shape = Shape { frames: 12, height: 2, width: 2 };
        let array: Vec<f32> = (0..48).map(|at| (at / 4) as f32 / 20.0).collect();
        (write(&array, shape, 1, 4.0).unwrap(), shape)
    }

    /// The numbers of the frames that are read.
    fn seen(bytes: &[u8], frames: usize, parameters: serde_json::Value) -> Result<Vec<usize>, Error> {
        let shape = Shape { frames, ..film().1 };
        let frames = super::read(bytes, shape, &excerpt(parameters))?;
        Ok(frames
            .into_iter()
            .map(|frame| (f32::from(frame.into_luma8()[(0, 0)][0]) / 12.75).round() as usize)
            .collect())
    }

    #[test]
    fn an_excerpt_has_the_frames_of_its_seconds() {
        let (file, _) = film();
        assert_eq!(seen(&file, 4, json!({})).unwrap(), [0, 4, 7, 11]);
        assert_eq!(seen(&file, 4, json!({"from": 1, "seconds": 1})).unwrap(), [4, 5, 6, 7]);
        assert_eq!(seen(&file, 2, json!({"from": 1.1, "seconds": 0.5})).unwrap(), [4, 6]);
        assert_eq!(seen(&file, 1, json!({"from": 2.9})).unwrap(), [11]);
        let text = seen(&file, 1, json!({"from": 3})).unwrap_err().to_string();
        assert!(text.contains("lasts 3.00 s; the codec reads from 3 s on"), "{text}");
    }

    #[test]
    fn an_animation_that_ends_early_says_how_much_is_there() {
        let (file, _) = film();
        // Each frame has a block that begins with its delay.
        let frames: Vec<usize> = (0..file.len()).filter(|at| file[*at..].starts_with(b"\x21\xf9\x04")).collect();
        assert_eq!(frames.len(), 12);
        for (kept, there) in [(7, 7), (1, 1)] {
            let cut = &file[..frames[kept] + 12];
            let text = seen(cut, 3, json!({})).unwrap_err().to_string();
            assert!(text.contains(&format!("the animation ends early: {there} frames are there")), "{text}");
            let last = seen(cut, 2, json!({"partial": "accept"})).unwrap();
            assert_eq!(last, [0, there - 1]);
        }
    }
}
