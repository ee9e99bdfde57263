//! TIFF images: in the forms that the decoder of the crate `image` leaves out, and what is there of files that end early.

mod form;
mod pixels;

use std::io::{BufReader, Cursor, ErrorKind};
use std::sync::MutexGuard;

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat};
use tiff::TiffError;
use tiff::decoder::{ChunkType, Decoder, Limits};
use tiff::tags::Tag;

use form::{Form, PALETTE, PHOTOMETRIC};

use super::directory::Directory;
use super::{Extent, ImageReader, MISSING, orientation, others};
use crate::Error;

type Read = (DynamicImage, Option<MutexGuard<'static, ()>>);
/// Its buffer lets the decoder keep what it read before the end of a file.
type File<'a> = Decoder<BufReader<Cursor<&'a [u8]>>>;

pub(super) fn read(reader: &ImageReader, bytes: &[u8]) -> Result<Read, Error> {
    let indices = as_levels(bytes);
    let source = indices.as_deref().unwrap_or(bytes);
    let mut file = open(reader, source)?;
    let Some(form) = Form::of(&mut file, indices.is_some())? else {
        return others::read(reader, bytes, ImageFormat::Tiff);
    };
    let (width, height) = file.dimensions().map_err(|error| damaged(&error))?;
    let lock = reader.admit(Extent { width, height, pixel: form.bytes_per_pixel() })?;
    let first = decode(&mut file, MISSING)?;
    let (raw, missing) = match broken(&mut file, &first, &form, bytes.len())? {
        None => (first.raw, Vec::new()),
        Some(limit) => {
            let second = decode(&mut open(reader, source)?, !MISSING)?;
            let line = (first.raw.len() / height.max(1) as usize).max(1);
            let pairs = first.raw.chunks_exact(line).zip(second.raw.chunks_exact(line)).enumerate();
            let missing: Vec<bool> = pairs.map(|(row, (a, b))| a != b || row >= limit).collect();
            let there = missing.iter().filter(|missing| !**missing).count();
            reader.ends_early(there, height)?;
            (first.raw, missing)
        }
    };
    let mut image = pixels::image(&form, width, height, &raw, &missing)?;
    image.apply_orientation(orientation::of_exif(bytes).unwrap_or(Orientation::NoTransforms));
    Ok((image, lock))
}

/// The file of an image with a palette, marked as one of grey levels, since the decoder reads no palettes.
fn as_levels(bytes: &[u8]) -> Option<Vec<u8>> {
    let directory = Directory::of(bytes)?;
    let (value, entry) = directory.number(PHOTOMETRIC)?;
    (value == PALETTE).then(|| directory.with_number(entry, 1))
}

fn open<'a>(reader: &ImageReader, bytes: &'a [u8]) -> Result<File<'a>, Error> {
    let mut limits = Limits::default();
    limits.intermediate_buffer_size = usize::try_from(reader.max_bytes).unwrap_or(usize::MAX);
    limits.decoding_buffer_size = limits.intermediate_buffer_size;
    let file = Decoder::new(BufReader::new(Cursor::new(bytes))).map_err(|error| match error {
        TiffError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => Error::data(
            "the TIFF image ends early: its directory, without which no line can be read, is not there as a whole",
        ),
        error => damaged(&error),
    })?;
    Ok(file.with_limits(limits))
}

/// What the decoder makes of a file: lines of samples, and why it stopped.
struct Decoded {
    raw: Vec<u8>,
    error: Option<TiffError>,
}

fn decode(file: &mut File<'_>, fill: u8) -> Result<Decoded, Error> {
    let layout = file.image_buffer_layout().map_err(|error| damaged(&error))?;
    let mut raw = vec![fill; layout.len];
    let error = file.read_image_bytes(&mut raw).err();
    Ok(Decoded { raw, error })
}

/// The first line that may be wrong, of a file that ends early; `None` if the image is whole.
fn broken(file: &mut File<'_>, decoded: &Decoded, form: &Form, length: usize) -> Result<Option<usize>, Error> {
    let cut = cut_line(file, length);
    match &decoded.error {
        // JPEG data decode without an error.
        None => Ok(cut.filter(|_| form.is_jpeg)),
        Some(TiffError::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
            Ok(Some(if form.is_plain { usize::MAX } else { cut.unwrap_or(0) }))
        }
        Some(error) => match cut {
            Some(line) => Ok(Some(line)),
            None => Err(damaged(error)),
        },
    }
}

/// The first line of the first strip or tile that ends behind the end of the file.
fn cut_line(file: &mut File<'_>, length: usize) -> Option<usize> {
    let (offsets, counts) = match file.get_chunk_type() {
        ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
        ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
    };
    let offsets = file.find_tag_unsigned_vec::<u64>(offsets).ok()??;
    let counts = file.find_tag_unsigned_vec::<u64>(counts).ok()??;
    let ends = offsets.iter().zip(&counts).map(|(offset, count)| offset.saturating_add(*count));
    let chunk = ends.into_iter().position(|end| end > length as u64)?;
    let (width, lines) = file.chunk_dimensions();
    let across = file.dimensions().ok()?.0.div_ceil(width.max(1)).max(1) as usize;
    Some(chunk / across * lines as usize)
}

fn damaged(error: &TiffError) -> Error {
    Error::data(format!("the TIFF image is damaged or of a rare form: {error}"))
}
