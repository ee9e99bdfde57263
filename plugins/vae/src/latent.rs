//! The latent of an autoencoder of images: maps that are smaller than the image by a power of two.

use anyflow_sdk::Error;
use anyflow_sdk::descriptor::*;

/// `[map, row, column]`.
pub(crate) const LATENT: Port =
    f32_port(&[axis_of("map", "latent_channels"), axis_of("row", "rows"), axis_of("column", "columns")]);

/// Sizes of an image and of its latent.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub height: i64,
    pub width: i64,
    pub rows: i64,
    pub columns: i64,
}

/// Refuses a latent that is not smaller than its image by the factor `scale`.
pub(crate) fn check(sizes: Sizes, scale: i64) -> Result<(), Error> {
    let Sizes { height, width, rows, columns } = sizes;
    if [Some(height), Some(width)] == [scale.checked_mul(rows), scale.checked_mul(columns)] {
        return Ok(());
    }
    Err(Error::Parameters(format!(
        "columns x rows is {columns} x {rows}, but 1/{scale} of {width} x {height} is needed; height and width must be \
         multiples of {scale}"
    )))
}
