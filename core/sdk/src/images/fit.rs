//! Brings images to a size.

use image::{DynamicImage, ImageBuffer, Rgb, RgbImage, Rgba};

use super::resize::resized;

/// How an image of other proportions gets the size of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFit {
    /// It is stretched.
    #[default]
    Stretch,
    /// It fills the frame; what sticks out is cut off on both sides.
    Crop,
    /// All of it is in the middle of the frame; the rest is background.
    Pad,
}

/// The frame that images are brought into.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// How images of other proportions get this size.
    pub fit: ImageFit,
    /// The level behind transparent pixels and around padded images: 0 is black, 1 is white.
    pub background: f32,
}

impl Frame {
    /// Brings an image into the frame, without transparency. An image of the right size keeps its pixels.
    pub fn place(&self, image: DynamicImage) -> DynamicImage {
        let image = if image.color().has_alpha() { self.on_background(image) } else { image };
        let Frame { width, height, .. } = *self;
        if (image.width(), image.height()) == (width, height) {
            return image;
        }
        match self.fit {
            ImageFit::Stretch => resized(&image, width, height),
            ImageFit::Crop => resized(&self.middle_of(&image), width, height),
            ImageFit::Pad => self.padded(&image),
        }
    }

    /// The largest part in the middle that has the proportions of the frame.
    fn middle_of(&self, image: &DynamicImage) -> DynamicImage {
        let (width, height) = (image.width(), image.height());
        let scale = (f64::from(width) / f64::from(self.width)).min(f64::from(height) / f64::from(self.height));
        let side = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most);
        let (inner_width, inner_height) = (side(self.width, width), side(self.height, height));
        image.crop_imm((width - inner_width) / 2, (height - inner_height) / 2, inner_width, inner_height)
    }

    fn level(&self) -> u8 {
        (self.background.clamp(0.0, 1.0) * 255.0).round() as u8
    }

    fn on_background(&self, image: DynamicImage) -> DynamicImage {
        let level = u32::from(self.level());
        let image = image.into_rgba8();
        let opaque = |pixel: &Rgba<u8>| {
            let alpha = u32::from(pixel[3]);
            Rgb([0, 1, 2]
                .map(|channel| ((u32::from(pixel[channel]) * alpha + level * (255 - alpha) + 127) / 255) as u8))
        };
        let mut out = RgbImage::new(image.width(), image.height());
        out.pixels_mut().zip(image.pixels()).for_each(|(out, pixel)| *out = opaque(pixel));
        DynamicImage::ImageRgb8(out)
    }

    /// All of the image in the middle of the frame.
    fn padded(&self, image: &DynamicImage) -> DynamicImage {
        let scale = |outer: u32, inner: u32| f64::from(outer) / f64::from(inner);
        let scale = scale(self.width, image.width()).min(scale(self.height, image.height()));
        let side = |side: u32, most: u32| ((f64::from(side) * scale).round_ties_even() as u32).clamp(1, most);
        let (width, height) = (side(image.width(), self.width), side(image.height(), self.height));
        let image = resized(image, width, height).into_rgb16();
        let before = |outer: u32, inner: u32| (f64::from(outer - inner) / 2.0).round_ties_even() as i64;
        let (left, top) = (before(self.width, width), before(self.height, height));
        let mut frame = ImageBuffer::from_pixel(self.width, self.height, Rgb([257 * u16::from(self.level()); 3]));
        image::imageops::replace(&mut frame, &image, left, top);
        DynamicImage::ImageRgb16(frame)
    }
}
