//! The embedding that an auxiliary stream adds to a diffused stream.

use tch::{Device, Tensor};

use crate::noise::{START_STEP, normals};
use crate::tensor::tensor_from_rows;
use crate::{Aggregation, AggregationSchedule, EngineError, Result, StreamSpec, TensorExt};

/// gamma(t) E(x) of one auxiliary stream: see [`Aggregation`](crate::Aggregation).
#[derive(Debug)]
pub(super) struct Encoder {
    /// The index of the stream it is added into.
    pub into: usize,
    weight: f64,
    law: AggregationSchedule,
    /// `[from, to]`; `None` for the identity.
    map: Option<Tensor>,
}

impl Encoder {
    /// The encoder of `from`, one of the diffused streams being the target.
    ///
    /// # Errors
    /// The target does not exist.
    pub fn new(aggregation: &Aggregation, from: &StreamSpec, diffused: &[StreamSpec], device: Device) -> Result<Self> {
        let into = diffused.iter().position(|stream| stream.name == aggregation.into);
        let into = into.ok_or_else(|| EngineError::Unknown {
            what: "stream",
            name: aggregation.into.clone(),
            known: diffused.iter().map(|stream| stream.name.clone()).collect(),
        })?;
        let to = &diffused[into];
        let map = if to.shape == from.shape { None } else { Some(map(from, to, device)?) };
        Ok(Encoder { into, weight: aggregation.weight, law: aggregation.law, map })
    }

    /// gamma at a time; 0 if the auxiliary stream is absent.
    pub fn factor(&self, stream: &StreamSpec, t: f32, present: f32) -> f32 {
        if present > 0.0 { self.law.gamma(self.weight, &stream.schedule, f64::from(t)) as f32 } else { 0.0 }
    }

    /// True if nothing is ever added.
    pub fn is_idle(&self) -> bool {
        self.weight == 0.0
    }

    /// The scaled embedding: `[row, shape of the auxiliary stream]` and a factor per row -> `[row, shape of the
    /// stream]`.
    pub fn embedding(&self, value: &Tensor, factors: &[f32], stream: &StreamSpec) -> Result<Tensor> {
        let rows = factors.len();
        let encoded = match &self.map {
            None => value.shallow_clone(),
            Some(map) => {
                value.try_reshape([rows as i64, -1])?.try_matmul(map)?.try_reshape(stream.batch_shape(rows))?
            }
        };
        let column = tensor_from_rows(factors, rows, &vec![1; stream.shape.len()], encoded.device())?;
        let embedding = encoded.try_mul(&column)?;
        if !factors.contains(&0.0) {
            return Ok(embedding);
        }
        // The values of an absent auxiliary stream are meaningless and may not be finite.
        let gone = column.try_eq(0.0)?;
        embedding.try_masked_fill(&gone, 0.0)
    }
}

/// Normal weights of variance 1 / elements, keyed by the names: they map values of unit variance to unit variance.
fn map(from: &StreamSpec, to: &StreamSpec, device: Device) -> Result<Tensor> {
    let rows = from.elements() as usize;
    let columns = to.elements() as usize;
    let mut values = vec![0.0f32; rows * columns];
    normals(0, 0, &format!("{} into {}", from.name, to.name), START_STEP, &mut values);
    let std = (rows as f32).sqrt().recip();
    values.iter_mut().for_each(|value| *value *= std);
    tensor_from_rows(&values, rows, &[columns as i64], device)
}
