//! Selections of rows of a batch.

use tch::{Device, Tensor};

use super::super::host_times::HostTimes;
use crate::{Result, TensorExt};

/// Rows of a batch.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rows {
    None,
    All,
    /// Some rows, not all: a flag per row.
    Some(Vec<bool>),
}

impl Rows {
    fn of(rows: Vec<bool>) -> Self {
        match (rows.contains(&true), rows.contains(&false)) {
            (false, _) => Rows::None,
            (true, false) => Rows::All,
            (true, true) => Rows::Some(rows),
        }
    }

    /// The rows in which a stream is present and not observed: its time is above 0.
    pub fn noisy(times: &HostTimes, stream: usize) -> Self {
        Rows::of(times.column(stream, |t, present| present > 0.0 && t > 0.0))
    }

    /// The rows in which a stream is present and observed: its time is 0.
    pub fn observed(times: &HostTimes, stream: usize) -> Self {
        Rows::of(times.column(stream, |t, present| present > 0.0 && t == 0.0))
    }

    /// The rows in which a stream is present.
    pub fn present(times: &HostTimes, stream: usize) -> Self {
        Rows::of(times.column(stream, |_, present| present > 0.0))
    }

    /// The indices of the selected rows: `[row]`, i64.
    pub fn index(rows: &[bool], device: Device) -> Result<Tensor> {
        let numbers: Vec<i64> = (0..rows.len() as i64).filter(|row| rows[*row as usize]).collect();
        Tensor::try_from_slice(&numbers)?.try_to_device(device)
    }
}
