//! Grey images of digits from a dataset with labels.

use std::path::PathBuf;

use super::image::SHAPE;
use crate::cell::Cell;
use crate::draw::Draws;
use crate::error::{DatasetError, Result};
use crate::read::Dataset;

/// The columns to read.
const IMAGE: &str = "image";
const LABEL: &str = "label";
const BATCH_ROWS: usize = 1024;

/// Images of 28 x 28 pixels by digit.
pub(in crate::generate) struct Shapes {
    of_digit: Vec<Vec<Vec<u8>>>,
}

impl Shapes {
    /// Reads all images.
    ///
    /// # Errors
    /// A file cannot be read, an image is not grey with 28 x 28 pixels, a label exceeds 9, or a digit has no image.
    pub fn read(files: &[PathBuf]) -> Result<Shapes> {
        let dataset = Dataset::open(files)?;
        let path = files.first().cloned().unwrap_or_default();
        let wanted = |wanted: String| DatasetError::Shapes { path: path.clone(), wanted };
        let mut of_digit = vec![Vec::new(); 10];
        for batch in dataset.read(Some(&[IMAGE, LABEL]), 0..dataset.rows(), BATCH_ROWS)? {
            let batch = batch?;
            if let Some(bad) = batch.unreadable.first() {
                return Err(DatasetError::UnreadableRow { reason: bad.reason.clone() });
            }
            let images = dataset.cells(&batch, IMAGE)?;
            let labels = dataset.cells(&batch, LABEL)?;
            for row in 0..images.len() {
                match (images.get(row)?, labels.get(row)?) {
                    (Some(Cell::Bytes(bytes)), Some(Cell::I64(digit @ 0..=9))) => {
                        of_digit[digit as usize].push(pixels(bytes).map_err(wanted)?);
                    }
                    _ => return Err(wanted("every row needs an image and a label from 0 to 9".into())),
                }
            }
        }
        match of_digit.iter().position(Vec::is_empty) {
            Some(digit) => Err(wanted(format!("there is no image of the digit {digit}"))),
            None => Ok(Shapes { of_digit }),
        }
    }

    /// A random image of `digit`, which is below 10.
    pub fn one(&self, digit: usize, draws: &mut Draws) -> &[u8] {
        draws.choose::<Vec<u8>>(&self.of_digit[digit])
    }
}

/// The pixels of a grey PNG, or the requirement that it misses.
fn pixels(file: &[u8]) -> std::result::Result<Vec<u8>, String> {
    let failed = |error: png::DecodingError| format!("images must be PNG files: {error}");
    let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().map_err(failed)?;
    let info = reader.info();
    let side = SHAPE as u32;
    let fits = (info.width, info.height) == (side, side)
        && (info.color_type, info.bit_depth) == (png::ColorType::Grayscale, png::BitDepth::Eight);
    if !fits {
        return Err(format!("images must be gray images of {SHAPE} x {SHAPE} pixels, 8 bits each"));
    }
    let mut pixels = vec![0; SHAPE * SHAPE];
    reader.next_frame(&mut pixels).map_err(failed)?;
    Ok(pixels)
}
