//! The EXIF tag that says how a camera was held.

use image::metadata::Orientation;

use super::directory::Directory;

/// The number of the tag.
const TAG: u16 = 0x0112;

/// The orientation in an EXIF chunk: of 8, 16 or 32 bits, since writers use all of them.
pub(super) fn of_exif(exif: &[u8]) -> Option<Orientation> {
    let (value, _) = Directory::of(exif)?.number(TAG)?;
    Orientation::from_exif(u8::try_from(value).ok()?)
}
