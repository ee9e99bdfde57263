//! Still images of all common formats -> pixels of a given size. Needs the feature `images`.

mod directory;
mod fit;
mod jpeg;
mod orientation;
mod others;
mod resize;
mod tiff;
mod webp;

use std::sync::{Mutex, MutexGuard, PoisonError};

use image::{DynamicImage, ImageFormat};

use crate::content::{FileContent, Medium, unreadable};
use crate::{Error, Partial};

pub use fit::{Frame, ImageFit};
pub use image;
pub use others::ends_early;
pub use webp::WebpExtent;

/// The formats that [`ImageReader`] reads.
pub const SUPPORTED: &str = "PNG, JPEG, WebP, TIFF, GIF, BMP, PNM and ICO";
/// The byte of pixels that an image lacks: grey.
const MISSING: u8 = 128;
/// Images from this share of the limit on are read one at a time, so that the limit holds for all threads together.
const LARGE_SHARE: u64 = 8;
static LARGE: Mutex<()> = Mutex::new(());

/// Reads still images. The content determines the format.
#[derive(Clone, Copy, Debug)]
pub struct ImageReader {
    /// The longest side in pixels.
    pub max_side: u32,
    /// The most bytes of an image during decoding.
    pub max_bytes: u64,
    /// What happens with images that end early.
    pub partial: Partial,
}

/// The size of an image in pixels, and its bytes per pixel.
#[derive(Clone, Copy)]
struct Extent {
    width: u32,
    height: u32,
    pixel: u64,
}

impl ImageReader {
    /// Reads an image, the first frame of an animation, turned upright as its EXIF orientation says, and passes it on.
    /// Missing pixels of a partial image are grey.
    ///
    /// # Errors
    /// [`Error::Data`] for a cell that holds no supported image, and for one that is damaged, too large, or ends early.
    pub fn read<T>(&self, bytes: &[u8], then: impl FnOnce(DynamicImage) -> T) -> Result<T, Error> {
        let Some(format) = format_of(bytes) else { return Err(unreadable(bytes, Medium::Image, SUPPORTED)) };
        let (image, _lock) = match format {
            ImageFormat::Jpeg => jpeg::read(self, bytes)?,
            ImageFormat::Tiff => tiff::read(self, bytes)?,
            _ => others::read(self, bytes, format)?,
        };
        Ok(then(image))
    }

    /// Refuses images that are too large. Large ones hold the lock that this returns while they are in memory.
    fn admit(&self, extent: Extent) -> Result<Option<MutexGuard<'static, ()>>, Error> {
        let Extent { width, height, pixel } = extent;
        let bytes = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(pixel);
        if width == 0 || height == 0 {
            return Err(Error::data(format!("the image has {width} x {height} pixels")));
        }
        if width.max(height) > self.max_side {
            let most = self.max_side;
            return Err(Error::data(format!(
                "the image has {width} x {height} pixels; at most {most} per side are read"
            )));
        }
        if bytes > self.max_bytes {
            let (needed, most) = (bytes >> 20, self.max_bytes >> 20);
            return Err(Error::data(format!(
                "the image has {width} x {height} pixels, which take {needed} MB; at most {most} MB are read"
            )));
        }
        let large = bytes > self.max_bytes / LARGE_SHARE;
        Ok(large.then(|| LARGE.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Refuses an image of `height` lines of which `there` are in the file; one without any in each case.
    fn ends_early(&self, there: usize, height: u32) -> Result<(), Error> {
        if there == 0 {
            return Err(nothing_there(height));
        }
        self.partial.check(format!("the image ends early: {there} of {height} lines are there"))
    }
}

fn nothing_there(height: u32) -> Error {
    Error::data(format!("the image ends early: 0 of {height} lines are there, so that nothing of it can be taken"))
}

/// The format of an image, if it is supported.
fn format_of(bytes: &[u8]) -> Option<ImageFormat> {
    let big_tiff = bytes.starts_with(b"II\x2b\0") || bytes.starts_with(b"MM\0\x2b");
    match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP)) => Some(format),
        Ok(format @ (ImageFormat::Tiff | ImageFormat::Ico)) => Some(format),
        // Texts may begin with the letters of these two.
        Ok(ImageFormat::Pnm) => bytes.get(2)?.is_ascii_whitespace().then_some(ImageFormat::Pnm),
        Ok(ImageFormat::Bmp) => {
            FileContent::of(bytes).is_none_or(|content| content.medium.is_some()).then_some(ImageFormat::Bmp)
        }
        _ if big_tiff => Some(ImageFormat::Tiff),
        _ => None,
    }
}

/// The number of lines of an image that are the same, whatever the missing bytes are taken for.
fn whole_lines(first: &[u8], second: &[u8], line: usize) -> usize {
    let line = line.max(1);
    first.chunks_exact(line).zip(second.chunks_exact(line)).filter(|(first, second)| first == second).count()
}

#[cfg(test)]
mod tests;
