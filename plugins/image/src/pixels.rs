//! Image files <-> pixels of a given size.

use anyflow_sdk::images::{Frame, ImageFit, ImageReader};
use anyflow_sdk::{Error, Parameters, Partial};
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder};

/// The longest side of an image.
const MAX_SIDE: u32 = 1 << 14;
/// The most bytes of an image during decoding, so that a small file cannot ask for all memory.
const MAX_BYTES: u64 = 256 << 20;

/// JSON Schemas of the parameters that all codecs have, and more.
macro_rules! parameters {
    ($($more:literal)?) => {
        concat!(
            r#"{
            "height": {"type": "integer", "minimum": 1, "maximum": 2048, "default": 28},
            "width": {"type": "integer", "minimum": 1, "maximum": 2048, "default": 28},
            "fit": {"enum": ["stretch", "crop", "pad"], "default": "stretch", "description": "how images of other proportions get this size"},
            "invert": {"type": "boolean", "default": false, "description": "dark files are bright values, and back"},
            "background": {"type": "number", "minimum": 0, "maximum": 1, "default": 1, "description": "level behind transparent pixels and around padded images; 1 is white"},
            "partial": {"enum": ["fail", "accept"], "default": "fail", "description": "what happens to an image that ends early"}"#,
            $($more,)?
            "}"
        )
    };
}
pub(crate) use parameters;

/// The parameters that all codecs have.
#[derive(Clone, Copy, serde::Deserialize)]
pub(crate) struct Look {
    height: u32,
    width: u32,
    #[serde(default)]
    fit: ImageFit,
    #[serde(default)]
    invert: bool,
    #[serde(default = "white")]
    background: f32,
    #[serde(default)]
    partial: Partial,
}

fn white() -> f32 {
    1.0
}

impl Look {
    pub(crate) fn new(parameters: &Parameters) -> Result<Self, Error> {
        let look: Look = parameters.read()?;
        let sides = 1..=2048;
        if !sides.contains(&look.height) || !sides.contains(&look.width) {
            return Err(Error::Parameters(format!(
                "width x height is {} x {}; both must be from 1 to 2048",
                look.width, look.height
            )));
        }
        if !(0.0..=1.0).contains(&look.background) {
            return Err(Error::Parameters(format!("background is {}; it must be from 0 to 1", look.background)));
        }
        Ok(look)
    }

    /// Reads a file: the first frame of an animation, upright, on the background, in the size of the array.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<DynamicImage, Error> {
        let Look { height, width, fit, background, partial, .. } = *self;
        let frame = Frame { width, height, fit, background };
        ImageReader { max_side: MAX_SIDE, max_bytes: MAX_BYTES, partial }.read(bytes, |image| frame.place(image))
    }

    /// Converts `interleaved: [pixel, channel]` to `planes: [channel, pixel]` between 0 and 1.
    pub(crate) fn planes_from_interleaved(&self, interleaved: &[u16], channels: usize, planes: &mut [f32]) {
        let pixels = planes.len() / channels;
        for (channel, plane) in planes.chunks_exact_mut(pixels).enumerate() {
            for (out, value) in plane.iter_mut().zip(interleaved.iter().skip(channel).step_by(channels)) {
                *out = f32::from(if self.invert { u16::MAX - value } else { *value }) / 65535.0;
            }
        }
    }

    /// Writes `planes: [channel, height, width]`, clamped to 0 to 1, as PNG.
    pub(crate) fn write(&self, planes: &[f32], color: ExtendedColorType) -> Result<Vec<u8>, Error> {
        if let Some(at) = planes.iter().position(|value| !value.is_finite()) {
            return Err(Error::data(format!("the image holds {} at element {at}", planes[at])));
        }
        let channels = usize::from(color.channel_count());
        let pixels = planes.len() / channels;
        let mut interleaved = vec![0; planes.len()];
        for (channel, plane) in planes.chunks_exact(pixels).enumerate() {
            for (out, value) in interleaved.iter_mut().skip(channel).step_by(channels).zip(plane) {
                let level = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
                *out = if self.invert { u8::MAX - level } else { level };
            }
        }
        let mut file = Vec::new();
        PngEncoder::new(&mut file)
            .write_image(&interleaved, self.width, self.height, color)
            .map_err(|error| Error::Failed(format!("writing PNG: {error}")))?;
        Ok(file)
    }
}
