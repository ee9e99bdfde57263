//! Reads a photo into the array of the codec `image/rgb`: decodes a JPEG file of about 500 kB and resizes it.

use anyflow_diffusion::noise::normals_tensor;
use anyflow_image::Rgb;
use anyflow_sdk::images::image::codecs::jpeg::JpegEncoder;
use anyflow_sdk::images::image::{ExtendedColorType, ImageEncoder, RgbImage};
use anyflow_sdk::{Cell, Codec, Parameters};
use anyhow::{Context, Result};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::network::Tensors;
use crate::report::{Clock, Line};

/// Pixels of a side of the array.
const SIDE: usize = 224;
/// Times that the photo is read in a repetition.
const TIMES: usize = 20;

/// The file is `file` of `given`, else a cloudy pattern. The result is `pixels: [channel, height, width]`.
pub fn run(given: &Tensors, clock: Clock) -> Result<(Line, Tensors)> {
    let file = match given.get("file") {
        Some(file) => Vec::<u8>::try_from(file)?,
        None => pattern()?,
    };
    let codec = Rgb::new(&Parameters::new(json!({"height": SIDE, "width": SIDE})))?;
    let mut array = vec![0.0; 3 * SIDE * SIDE];
    let work = format!("{TIMES} times a JPEG file of {} bytes -> 3 x {SIDE} x {SIDE}", file.len());
    let line = clock.time(work, || {
        for _ in 0..TIMES {
            codec.encode(Cell::Bytes(&file), &mut array)?;
        }
        Ok(())
    })?;
    let side = SIDE as i64;
    let pixels = Tensor::from_slice(&array).f_reshape([3, side, side])?;
    Ok((line, [("pixels".to_string(), pixels)].into_iter().collect()))
}

/// A file of smooth noise and a little sharp noise.
fn pattern() -> Result<Vec<u8>> {
    const SIDES: [i64; 3] = [3, 1200, 1600];
    let noise = |sides: &[i64]| normals_tensor(1, &[0], "photo", 0, sides, Device::Cpu);
    let clouds = noise(&[3, 30, 40])?.f_upsample_bilinear2d(&SIDES[1..], false, None, None)?;
    let levels =
        (clouds.f_squeeze_dim(0)? * 50.0 + noise(&SIDES)?.f_squeeze_dim(0)? * 8.0 + 128.0).f_clamp(0.0, 255.0)?;
    let bytes = levels.f_permute([1, 2, 0])?.f_contiguous()?.f_to_kind(Kind::Uint8)?.f_flatten(0, -1)?;
    let image = RgbImage::from_raw(1600, 1200, Vec::<u8>::try_from(bytes)?).context("another size")?;
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 85).write_image(&image, 1600, 1200, ExtendedColorType::Rgb8)?;
    Ok(file)
}
