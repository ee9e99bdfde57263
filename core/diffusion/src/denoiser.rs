//! A network over named streams.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{EngineError, Parameterization, Result, Schedule};

/// One stream of a denoiser.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    /// Its name, unique in the denoiser; it also keys the stream's noise.
    pub name: String,
    /// The shape of one row.
    pub shape: Vec<i64>,
    /// How it is noised.
    pub schedule: Schedule,
    /// What the network predicts of it.
    pub parameterization: Parameterization,
}

impl StreamSpec {
    /// The number of elements of one row.
    pub fn elements(&self) -> i64 {
        self.shape.iter().product()
    }

    /// `[rows, shape]`.
    pub fn batch_shape(&self, rows: usize) -> Vec<i64> {
        std::iter::once(rows as i64).chain(self.shape.iter().copied()).collect()
    }

    /// `[rows, 1, ...]`, one axis per axis of the stream: a number per row.
    pub(crate) fn column_shape(&self, rows: usize) -> Vec<i64> {
        std::iter::once(rows as i64).chain(self.shape.iter().map(|_| 1)).collect()
    }

    /// Refuses a tensor that is not `[rows, shape]`.
    pub fn check_batch(&self, tensor: &Tensor, rows: usize) -> Result<()> {
        let (expected, found) = (self.batch_shape(rows), tensor.size());
        match expected == found {
            true => Ok(()),
            false => Err(EngineError::Shape { what: format!("stream {:?}", self.name), expected, found }),
        }
    }
}

/// Refuses an empty list, empty shapes, two streams of one name, and schedules that make no sense.
pub fn check_streams(streams: &[StreamSpec]) -> Result<()> {
    let bad = |wanted, found: String| Err(EngineError::Config { field: "streams", wanted, found });
    if streams.is_empty() {
        return bad("at least one", "none".to_string());
    }
    for (index, stream) in streams.iter().enumerate() {
        if stream.shape.iter().any(|size| *size < 1) {
            return bad("of positive sizes", format!("{:?} {:?}", stream.name, stream.shape));
        }
        if streams[..index].iter().any(|other| other.name == stream.name) {
            return bad("of different names", format!("{:?} twice", stream.name));
        }
        stream.schedule.check()?;
    }
    Ok(())
}

/// What a denoiser is asked, for a batch of rows at different times.
#[derive(Debug)]
#[non_exhaustive]
pub struct DenoiserInput {
    /// Per stream, in the denoiser's order: `[row, shape]`, f32. Where the stream is absent the values mean nothing.
    pub x: Vec<Tensor>,
    /// `[row, stream]`, f32, in [0, 1]; 0 for clean streams, 1 for absent ones.
    pub t: Tensor,
    /// `[row, stream]`, f32: 1 where the stream is there, 0 where it is absent.
    pub present: Tensor,
}

impl DenoiserInput {
    /// An input without conditions.
    pub fn new(x: Vec<Tensor>, t: Tensor, present: Tensor) -> Self {
        DenoiserInput { x, t, present }
    }

    /// The number of rows.
    pub fn rows(&self) -> i64 {
        self.t.size().first().copied().unwrap_or(0)
    }
}

/// A network over one or several streams. Rows must not influence one another.
pub trait Denoiser: Send {
    /// Its streams, in the order of inputs and outputs.
    fn streams(&self) -> &[StreamSpec];

    /// The raw prediction per stream, each in its parameterization: `[row, shape]`, f32, on the input's device.
    /// Differentiable; the caller decides whether gradients are recorded.
    fn predict(&self, batch: &DenoiserInput) -> Result<Vec<Tensor>>;

    /// The parameters by name, sharing memory with the network's. Names are stable: checkpoints use them.
    fn parameters(&self) -> Vec<(String, Tensor)>;
}
