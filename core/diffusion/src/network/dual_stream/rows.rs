//! Selections of rows of a batch.

use tch::{Device, Tensor};

use crate::{DenoiserInput, Result, TensorExt, Times};

/// Rows of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    None,
    All,
    /// Some rows, not all: a flag per row.
    Some(Vec<bool>),
}

impl Rows {
    pub fn of(rows: Vec<bool>) -> Self {
        match (rows.contains(&true), rows.contains(&false)) {
            (false, _) => Rows::None,
            (true, false) => Rows::All,
            (true, true) => Rows::Some(rows),
        }
    }

    /// The indices of the selected rows: `[row]`, i64.
    pub fn index(rows: &[bool], device: Device) -> Result<Tensor> {
        let numbers: Vec<i64> = (0..rows.len() as i64).filter(|row| rows[*row as usize]).collect();
        Tensor::try_from_slice(&numbers)?.try_to_device(device)
    }
}

/// Time and presence of every stream of every row, on the host.
pub(super) struct HostTimes {
    t: Vec<f32>,
    present: Vec<f32>,
    streams: usize,
}

impl HostTimes {
    pub fn of(batch: &DenoiserInput) -> Result<Self> {
        let host = |tensor: &Tensor| tensor.try_flatten(0, -1)?.try_to_device(Device::Cpu)?.try_to_floats();
        let (t, present) = match &batch.times {
            Times::Rows { t, present } => (host(t)?, host(present)?),
            Times::Runs(runs) => (
                runs.iter().flat_map(|run| run.t.repeat(run.rows)).collect(),
                runs.iter().flat_map(|run| run.present.repeat(run.rows)).collect(),
            ),
        };
        Ok(HostTimes { t, present, streams: batch.x.len() })
    }

    fn column(&self, index: usize, holds: impl Fn(f32, f32) -> bool) -> Vec<bool> {
        let times = self.t.iter().zip(&self.present).skip(index).step_by(self.streams);
        times.map(|(t, present)| holds(*t, *present)).collect()
    }

    /// The rows in which a stream is present and not observed: its time is above 0.
    pub fn noisy(&self, index: usize) -> Rows {
        Rows::of(self.column(index, |t, present| present > 0.0 && t > 0.0))
    }

    /// The rows in which it is present.
    pub fn there(&self, index: usize) -> Rows {
        Rows::of(self.column(index, |_, present| present > 0.0))
    }

    /// True if it is observed in all rows.
    pub fn is_clean(&self, index: usize) -> bool {
        !self.column(index, |t, present| present > 0.0 && t == 0.0).contains(&false)
    }
}
