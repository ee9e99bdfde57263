//! Resizes images with Lanczos windows.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::pixels::{InnerPixel, U8, U8x3};
use fast_image_resize::{FilterType as Window, PixelTrait, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, RgbImage};

/// Images of more pixels are resized in integers, as Pillow does, which is several times as fast as in floats. Smaller ones
/// keep the values that published models were trained with; these differ by single levels of 255.
const MANY: u64 = 1 << 18;

/// The image in another size.
pub(super) fn resized(image: &DynamicImage, width: u32, height: u32) -> DynamicImage {
    let is_large = u64::from(image.width()) * u64::from(image.height()) > MANY;
    let resized = is_large.then(|| in_integers(image, width, height)).flatten();
    resized.unwrap_or_else(|| image.resize_exact(width, height, FilterType::Lanczos3))
}

/// `None` for images of more than eight bits.
fn in_integers(image: &DynamicImage, width: u32, height: u32) -> Option<DynamicImage> {
    let of = |bytes, kind| ImageRef::new(image.width(), image.height(), bytes, kind).ok();
    match image {
        DynamicImage::ImageLuma8(pixels) => {
            let bytes = scaled::<U8>(&of(pixels.as_raw(), PixelType::U8)?, width, height)?;
            GrayImage::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8)
        }
        DynamicImage::ImageRgb8(pixels) => {
            let bytes = scaled::<U8x3>(&of(pixels.as_raw(), PixelType::U8x3)?, width, height)?;
            RgbImage::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8)
        }
        _ => None,
    }
}

fn scaled<P: PixelTrait + InnerPixel>(image: &ImageRef<'_>, width: u32, height: u32) -> Option<Vec<u8>> {
    let mut out = Image::new(width, height, image.pixel_type());
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(Window::Lanczos3)).use_alpha(false);
    let (from, mut to) = (image.typed_image::<P>()?, out.typed_image_mut::<P>()?);
    Resizer::new().resize_typed(&from, &mut to, &options).ok()?;
    Some(out.into_vec())
}
