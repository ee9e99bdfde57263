//! What judges say of arrays: a class per row, and features by which distributions are compared.

use anyflow_datasets::{Cell, OwnedCell};
use anyflow_plan::findings::Distance;
use tch::{Device, Tensor};

use super::frechet::{self, Moments};
use crate::plugin::Codec;
use crate::{Judge, Result};

/// Rows that a judge sees at once, so that a large table needs no large activations.
pub const CHUNK: i64 = 1024;

/// What a user gets of arrays: cells (a file, a word) that a codec wrote, and what it reads in them.
pub struct Written {
    /// By row; nothing where none could be written.
    pub cells: Vec<Option<OwnedCell>>,
    /// `[row, axes]`, zeros where nothing could be written or read back.
    pub array: Tensor,
    /// Those rows.
    pub failed: Vec<usize>,
}

impl Written {
    /// By the codec that the arrays are of.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn of(codec: &Codec, array: &Tensor, threads: usize) -> Result<Written> {
        let cells: Vec<Option<OwnedCell>> = codec.decode(array, threads)?.into_iter().map(Result::ok).collect();
        let (array, failed) = read(codec, &cells, threads)?;
        Ok(Written { cells, array, failed })
    }
}

/// Cells as a codec reads them, `[row, axes]`, and the rows that it cannot read.
///
/// # Errors
/// What the plugin says.
pub fn read(codec: &Codec, cells: &[Option<OwnedCell>], threads: usize) -> Result<(Tensor, Vec<usize>)> {
    let views: Vec<Option<Cell<'_>>> = cells.iter().map(|cell| cell.as_ref().map(OwnedCell::as_cell)).collect();
    let (array, failed) = codec.encode(&views, threads)?;
    Ok((array, failed.into_iter().map(|row| row.row).collect()))
}

/// What a judge says of some rows.
pub struct Verdicts {
    /// The class of each row, nothing where its cell could not be written or read back: that is wrong.
    pub classes: Vec<Option<i64>>,
    /// `[row with a class, feature]`, if the judge gives features.
    pub features: Option<Tensor>,
}

impl Verdicts {
    /// Of arrays as they are.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn of_arrays(judge: &Judge, array: &Tensor, device: Device) -> Result<Verdicts> {
        let (mut classes, mut features) = (Vec::new(), Vec::new());
        for chunk in array.f_split(CHUNK, 0)? {
            let chunk = chunk.f_to_device(device)?;
            classes.extend(judge.classes_of(&chunk)?.into_iter().map(Some));
            features.extend(judge.features(&chunk)?.map(|features| features.f_to_device(Device::Cpu)).transpose()?);
        }
        let features = (!features.is_empty()).then(|| Tensor::f_cat(&features, 0)).transpose()?;
        Ok(Verdicts { classes, features })
    }

    /// Of what a user gets.
    ///
    /// # Errors
    /// What plugins say.
    pub fn of_written(judge: &Judge, written: &Written, device: Device) -> Result<Verdicts> {
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

    /// Mean and covariance of the features, if there are any.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn moments(&self) -> Result<Option<Moments>> {
        let enough = self.features.as_ref().filter(|features| features.size()[0] > 1);
        enough.map(Moments::of).transpose()
    }

    /// Mean distance of two rows that the judge takes for one class, of `count` classes.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn diversity(&self, count: i64) -> Result<Option<f64>> {
        let Some(features) = &self.features else { return Ok(None) };
        let classes: Vec<i64> = self.classes.iter().flatten().copied().collect();
        frechet::diversity(features, &classes, count)
    }
}

/// The distance of two sets of rows, if the judge gives features.
///
/// # Errors
/// What libtorch says.
pub fn distance(rows: Option<&Moments>, held_out: Option<&Moments>) -> Result<Option<Distance>> {
    let (Some(rows), Some(held_out)) = (rows, held_out) else { return Ok(None) };
    let value = rows.distance(held_out)?;
    Ok(Some(Distance { value, rows: rows.rows, against: held_out.rows, per_seed: None }))
}
