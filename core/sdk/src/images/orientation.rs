//! The EXIF tag that says how a camera was held.

use image::metadata::Orientation;

/// The number of the tag.
const TAG: u16 = 0x0112;

/// The orientation in an EXIF chunk: of 8, 16 or 32 bits, since writers use all of them.
pub(super) fn of_exif(exif: &[u8]) -> Option<Orientation> {
    let big = match exif.first_chunk()? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    let entries = u16_at(directory)?;
    let entry = (0..usize::from(entries)).map(|entry| directory + 2 + 12 * entry);
    let entry = entry.into_iter().find(|entry| u16_at(*entry) == Some(TAG))?;
    let value = match u16_at(entry + 2)? {
        1 => u32::from(*exif.get(entry + 8)?),
        3 => u32::from(u16_at(entry + 8)?),
        4 => u32_at(entry + 8)?,
        _ => return None,
    };
    Orientation::from_exif(u8::try_from(value).ok()?)
}
