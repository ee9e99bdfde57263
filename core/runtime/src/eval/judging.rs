//! Judges applied to arrays: a class per row, and features by which distributions are compared.

use anyflow_datasets::{Cell, OwnedCell};
use anyflow_plan::findings::Distance;
use tch::{Device, Tensor};

use super::frechet::{self, Moments};
use crate::plugin::Codec;
use crate::{Judge, Result};

/// Rows per call of a judge, which bounds the memory of activations.
pub const CHUNK: i64 = 1024;

/// Arrays after a round trip through cells (a file, a word), which is what a user gets.
pub struct RoundTrip {
    /// Per row; `None` if the cell could not be written.
    pub cells: Vec<Option<OwnedCell>>,
    /// `[row, axes]`; zeros for failed rows.
    pub array: Tensor,
    /// Rows that could not be written or read back.
    pub failed: Vec<usize>,
}

/// The generated rows of a stream with the judge's verdicts.
pub struct Judged {
    /// The rows.
    pub written: RoundTrip,
    /// The verdicts.
    pub verdicts: Verdicts,
}

impl RoundTrip {
    /// Writes arrays with their codec and reads them back.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn of(codec: &Codec, array: &Tensor, threads: usize) -> Result<RoundTrip> {
        let cells: Vec<Option<OwnedCell>> = codec.decode(array, threads)?.into_iter().map(Result::ok).collect();
        let (array, failed) = read(codec, &cells, threads)?;
        Ok(RoundTrip { cells, array, failed })
    }
}

/// Reads cells with a codec: arrays `[row, axes]`, and the rows that it cannot read.
///
/// # Errors
/// The plugin's error.
pub fn read(codec: &Codec, cells: &[Option<OwnedCell>], threads: usize) -> Result<(Tensor, Vec<usize>)> {
    let views: Vec<Option<Cell<'_>>> = cells.iter().map(|cell| cell.as_ref().map(OwnedCell::as_cell)).collect();
    let (array, failed) = codec.encode(&views, threads)?;
    Ok((array, failed.into_iter().map(|row| row.row).collect()))
}

/// A judge's verdicts.
pub struct Verdicts {
    /// The class of each row; `None` if its cell could not be written or read back, which counts as wrong.
    pub classes: Vec<Option<i64>>,
    /// `[row with a class, feature]`, if the judge has features.
    pub features: Option<Tensor>,
}

impl Verdicts {
    /// Judges arrays directly.
    ///
    /// # Errors
    /// The plugin's error.
    pub fn of_arrays(judge: &Judge, array: &Tensor, device: Device) -> Result<Verdicts> {
        let mut classes = Vec::new();
        let mut features = Vec::new();
        for chunk in array.f_split(CHUNK, 0)? {
            let chunk = chunk.f_to_device(device)?;
            classes.extend(judge.classes_of(&chunk)?.into_iter().map(Some));
            features.extend(judge.features(&chunk)?.map(|features| features.f_to_device(Device::Cpu)).transpose()?);
        }
        let features = (!features.is_empty()).then(|| Tensor::f_cat(&features, 0)).transpose()?;
        Ok(Verdicts { classes, features })
    }

    /// Judges arrays after their round trip through cells.
    ///
    /// # Errors
    /// Errors of plugins.
    pub fn of_written(judge: &Judge, written: &RoundTrip, device: Device) -> Result<Verdicts> {
        let mut verdicts = Self::of_arrays(judge, &written.array, device)?;
        for row in &written.failed {
            verdicts.classes[*row] = None;
        }
        let read: Vec<i64> =
            (0..).zip(&verdicts.classes).filter(|(_, class)| class.is_some()).map(|(i, _)| i).collect();
        let kept = |features: Tensor| features.f_index_select(0, &Tensor::from_slice(&read));
        verdicts.features = verdicts.features.map(kept).transpose()?;
        Ok(verdicts)
    }

    /// Mean and covariance of the features; `None` without features or with fewer than two rows.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn moments(&self) -> Result<Option<Moments>> {
        let enough = self.features.as_ref().filter(|features| features.size()[0] > 1);
        enough.map(Moments::of).transpose()
    }

    /// Mean feature distance between two rows of the same verdict, for `count` classes.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn diversity(&self, count: i64) -> Result<Option<f64>> {
        let Some(features) = &self.features else { return Ok(None) };
        let classes: Vec<i64> = self.classes.iter().flatten().copied().collect();
        frechet::diversity(features, &classes, count)
    }
}

/// The Fréchet distance of two sets of rows; `None` without features.
///
/// # Errors
/// A libtorch call failed.
pub fn distance(rows: Option<&Moments>, held_out: Option<&Moments>) -> Result<Option<Distance>> {
    let (Some(rows), Some(held_out)) = (rows, held_out) else { return Ok(None) };
    let value = rows.distance(held_out)?;
    Ok(Some(Distance { value, rows: rows.rows, against: held_out.rows, per_seed: None }))
}
