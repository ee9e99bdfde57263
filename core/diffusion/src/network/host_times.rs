//! The times of a batch on the host, where networks decide by them.

use tch::{Device, Tensor};

use crate::{DenoiserInput, Result, TensorExt, Times};

/// Time and presence of every stream of every row.
pub(super) struct HostTimes {
    /// `[row, stream]`, row-major, as `present`.
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

    /// Time and presence of every stream, row by row.
    pub fn rows(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        self.t.chunks(self.streams).zip(self.present.chunks(self.streams))
    }

    /// For each row, whether the time and the presence of a stream meet a condition.
    pub fn column(&self, stream: usize, holds: impl Fn(f32, f32) -> bool) -> Vec<bool> {
        self.rows().map(|(t, present)| holds(t[stream], present[stream])).collect()
    }
}
