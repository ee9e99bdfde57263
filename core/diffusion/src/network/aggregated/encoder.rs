//! The embedding that an auxiliary stream adds to a diffused stream.

use anyflow_config::{Aggregation, Embedding, Keyed};
use tch::{Device, Tensor};

use crate::noise::{START_STEP, normals};
use crate::stream::index_of;
use crate::tensor::tensor_from_rows;
use crate::{EmbeddingWeight, EngineError, Result, StreamSpec, TensorExt};

/// gamma(t) E(x) of one auxiliary stream: see [`Embedding`].
#[derive(Debug)]
pub(super) struct Encoder {
    /// The index of the auxiliary stream.
    pub from: usize,
    /// The index of the stream it is added into.
    pub into: usize,
    aggregation: Aggregation,
    /// `[from, to]`; `None` for the identity.
    map: Option<Tensor>,
}

impl Encoder {
    /// The encoder of the auxiliary stream with the index `from`.
    ///
    /// # Errors
    /// A number out of bounds; the target does not exist.
    pub fn new(embedding: &Embedding, from: usize, streams: &[StreamSpec], device: Device) -> Result<Self> {
        embedding.aggregation.check().map_err(EngineError::Options)?;
        let into = index_of(streams, &embedding.into)?;
        let (own, to) = (&streams[from], &streams[into]);
        let map = if to.shape == own.shape { None } else { Some(map(own, to, device)?) };
        Ok(Encoder { from, into, aggregation: embedding.aggregation.clone(), map })
    }

    /// gamma at a time; 0 if the auxiliary stream is absent.
    pub fn factor(&self, stream: &StreamSpec, t: f32, present: f32) -> f32 {
        if present > 0.0 { self.aggregation.gamma(&stream.schedule, f64::from(t)) as f32 } else { 0.0 }
    }

    /// True if nothing is ever added.
    pub fn is_idle(&self) -> bool {
        self.aggregation.weight == 0.0
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
