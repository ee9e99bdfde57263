//! The frames of an array: how many, how large, and which frames of a film they are.

use anyflow_sdk::images::{self, ImageFit};
use anyflow_sdk::{Error, Parameters};
use image::{DynamicImage, RgbaImage};

/// The longest side of a frame.
pub(crate) const MAX_SIDE: u32 = 1 << 12;
/// The most bytes of a frame during decoding.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// The number and the size of an array's frames.
#[derive(Clone, Copy, serde::Deserialize)]
pub(crate) struct Shape {
    pub(crate) frames: usize,
    pub(crate) height: u32,
    pub(crate) width: u32,
}

impl Shape {
    pub(crate) fn new(parameters: &Parameters) -> Result<Self, Error> {
        let shape: Shape = parameters.read()?;
        let sides = 1..=1024;
        if !sides.contains(&shape.height) || !sides.contains(&shape.width) || !(1..=256).contains(&shape.frames) {
            let Shape { frames, height, width, .. } = shape;
            return Err(Error::Parameters(format!(
                "frames is {frames}, width x height {width} x {height}; the allowed ranges are 1 to 256 and 1 to 1024"
            )));
        }
        Ok(shape)
    }

    pub(crate) fn frame(self) -> images::Frame {
        images::Frame { width: self.width, height: self.height, fit: ImageFit::Stretch, background: 1.0 }
    }

    pub(crate) fn pixels(self) -> usize {
        self.height as usize * self.width as usize
    }
}

/// A frame on a white background, stretched to `shape`.
pub(crate) fn fitted(frame: RgbaImage, shape: Shape) -> DynamicImage {
    shape.frame().place(DynamicImage::ImageRgba8(frame))
}

/// The source frame, of `all`, for output frame `index` of `count`. The first and the last frame are kept.
pub(crate) fn spread(index: usize, count: usize, all: usize) -> usize {
    if count == 1 { 0 } else { (index * (all - 1) + (count - 1) / 2) / (count - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_evenly_from_the_first_to_the_last() {
        let sources = |count: usize, all: usize| (0..count).map(|index| spread(index, count, all)).collect::<Vec<_>>();
        assert_eq!(sources(4, 4), [0, 1, 2, 3]);
        assert_eq!(sources(3, 9), [0, 4, 8]);
        assert_eq!(sources(4, 2), [0, 0, 1, 1]);
        assert_eq!(sources(1, 5), [0]);
        assert_eq!(sources(3, 1), [0, 0, 0]);
    }
}
