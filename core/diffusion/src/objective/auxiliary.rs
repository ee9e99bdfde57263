//! Auxiliary streams in training: dropout of their embeddings, and the losses of heads.

use anyflow_config::{Auxiliary, HeadLoss};
use tch::{Kind, Tensor};

use super::times::Rows;
use super::{Draw, DrawKey, LossOptions, LossOutput};
use crate::auxiliary::class_moments;
use crate::noise::RowNoise;
use crate::stream::index_of;
use crate::tensor::tensor_from_rows;
use crate::{Result, State, StreamSpec, TensorExt};

/// The noise key of embedding dropout; no stream can have this name.
const DROPOUT_NOISE: &str = "\0companion";

/// Lower bound of probabilities: centring and scaling back in f32 is not more exact.
const LEAST_PROBABILITY: f64 = 1e-6;

/// Draws the states of the auxiliary streams: clean, or absent if the embedding is dropped or the row lacks the stream. An
/// auxiliary stream that is not aggregated has no embedding.
pub(super) fn with_auxiliary(mut draw: Draw, streams: &[StreamSpec], rows: Rows<'_>, key: DrawKey) -> Draw {
    let of = |(index, stream): (usize, &StreamSpec)| {
        let embedding = stream.auxiliary()?.aggregate.as_ref();
        Some((index, embedding.map(|embedding| embedding.aggregation.dropout)))
    };
    let dropouts: Vec<(usize, Option<f64>)> = streams.iter().enumerate().filter_map(of).collect();
    if dropouts.is_empty() {
        return draw;
    }
    let mut drawn = vec![0.0; dropouts.len()];
    for row in 0..rows.count {
        RowNoise::new(key.seed, (rows.first + row) as u64, DROPOUT_NOISE).uniforms(key.step, &mut drawn);
        for ((index, dropout), drawn) in dropouts.iter().zip(&drawn) {
            if dropout.is_some_and(|dropout| *drawn >= dropout) && rows.has(row, *index) {
                draw.observe(row, *index);
            }
        }
    }
    draw
}

impl LossOutput {
    /// Adds the losses of heads to the loss so far, which is first multiplied by `denoise_weight`. A row that lacks the
    /// stream of a head has no loss there.
    pub(super) fn heads(
        &mut self,
        streams: &[StreamSpec],
        draw: &Draw,
        latents: &[Tensor],
        predictions: &[Tensor],
        options: &LossOptions,
    ) -> Result<()> {
        if options.denoise_weight != 1.0 {
            self.loss = self.loss.try_mul_scalar(options.denoise_weight)?;
        }
        for (index, stream) in streams.iter().enumerate() {
            let Some(auxiliary) = stream.auxiliary() else { continue };
            let Some(head) = &auxiliary.head else { continue };
            let read = followed(streams, auxiliary)?;
            let rows = options.rows(draw.states.rows());
            let own = OwnEmbedding { index, weight: head.embedding_weight, rows };
            let weights = weights(&streams[read], draw, read, own);
            let weights = tensor_from_rows(&weights, weights.len(), &[], latents[index].device())?;
            let of_row = off(head.loss, &predictions[index], &latents[index])?;
            let loss = of_row.try_dot(&weights)?;
            let figure = loss.try_detach()?;
            self.per_stream.push((stream.name.clone(), figure));
            if head.weight != 0.0 {
                let term = loss.try_mul_scalar(head.weight)?;
                self.loss = self.loss.try_add(&term)?;
            }
        }
        Ok(())
    }
}

/// The index of the diffused stream whose noise hides an auxiliary stream: the one it is added into, otherwise the
/// first.
fn followed(streams: &[StreamSpec], auxiliary: &Auxiliary) -> Result<usize> {
    match &auxiliary.aggregate {
        Some(embedding) => index_of(streams, &embedding.into),
        None => Ok(streams.iter().position(StreamSpec::is_diffused).unwrap_or(0)),
    }
}

/// The weight of rows that contain the embedding of the auxiliary stream itself.
struct OwnEmbedding<'a> {
    /// The index of the auxiliary stream.
    index: usize,
    weight: f64,
    /// The rows, some of which may lack the stream.
    rows: Rows<'a>,
}

/// a(t) of a stream, at the index `read`, divided by the number of rows: `[row]`. 0 if that stream is absent, or if the row
/// lacks the auxiliary stream; multiplied by the weight in rows with the own embedding.
fn weights(stream: &StreamSpec, draw: &Draw, read: usize, own: OwnEmbedding<'_>) -> Vec<f32> {
    let rows = draw.states.rows();
    let streams = draw.states.streams();
    let of_row = |row: usize| match draw.states.row(row)[read] {
        State::Absent => 0.0,
        State::Clean => 1.0,
        State::Noisy => stream.schedule.signal(draw.times[row * streams + read]),
    };
    let share = |row: usize| match draw.states.row(row)[own.index] {
        _ if !own.rows.has(row, own.index) => 0.0,
        State::Clean => own.weight,
        _ => 1.0,
    };
    (0..rows).map(|row| (of_row(row) * share(row) / rows as f64) as f32).collect()
}

/// The loss of each row's estimate: `[row]`.
fn off(loss: HeadLoss, estimate: &Tensor, truth: &Tensor) -> Result<Tensor> {
    let flat = |tensor: &Tensor| tensor.try_flatten(1, -1);
    let estimate = flat(estimate)?;
    let truth = flat(truth)?;
    match loss {
        HeadLoss::CrossEntropy => {
            let (mean, std) = class_moments(truth.size()[1]);
            let class = truth.try_argmax(1, true)?;
            estimate
                .try_gather(1, &class)?
                .try_mul_scalar(std)?
                .try_add_scalar(mean)?
                .try_clamp_min(LEAST_PROBABILITY)?
                .try_log()?
                .try_neg()?
                .try_flatten(0, -1)
        }
        HeadLoss::Mse => estimate.try_sub(&truth)?.try_square()?.try_mean([1], false, Kind::Float),
    }
}

#[cfg(test)]
mod tests {
    use anyflow_config::{Aggregation, Embedding};

    use super::*;
    use crate::objective::times::draw_from;
    use crate::{Parameterization, Schedule, StreamKind, TimeDistribution};

    const KEY: DrawKey = DrawKey { seed: 7, step: 3 };

    fn stream(name: &str, kind: StreamKind) -> StreamSpec {
        let schedule = Schedule::cosine();
        let parameterization = Parameterization::Eps;
        StreamSpec { name: name.to_string(), shape: vec![2], schedule, parameterization, kind }
    }

    fn auxiliary(name: &str, dropout: Option<f64>) -> StreamSpec {
        let aggregation = |dropout| Aggregation { weight: 1.0, dropout, ..Aggregation::default() };
        let aggregate = dropout.map(|dropout| Embedding { aggregation: aggregation(dropout), into: "x".to_string() });
        stream(name, StreamKind::Auxiliary(Auxiliary { aggregate, head: None }))
    }

    #[test]
    fn embeddings_are_dropped_independently_with_their_probabilities() {
        let streams = [
            stream("x", StreamKind::Diffused),
            auxiliary("a", Some(0.3)),
            auxiliary("b", Some(0.0)),
            auxiliary("c", None),
        ];
        let rows = 8000;
        let law = TimeDistribution::SharedAll(Default::default());
        let all = |first, count| Rows { first, count, lacking: &[] };
        let drawn = |first, rows| draw_from(&law, all(first, rows), &streams[..1], KEY).among(&[0], streams.len());
        let draw = drawn(0, rows);
        let whole = with_auxiliary(draw.clone(), &streams, all(0, rows), KEY);
        let clean = |index: usize| {
            (0..rows).filter(|row| whole.states.row(*row)[index] == State::Clean).count() as f64 / rows as f64
        };
        assert!((clean(1) - 0.7).abs() < 0.02, "{}", clean(1));
        assert_eq!((clean(2), clean(3)), (1.0, 0.0));
        for row in 0..rows {
            assert_eq!(whole.states.row(row)[0], State::Noisy);
            assert_eq!(whole.times[row * 4], draw.times[row * 4]);
        }
        // A part of the batch draws what its rows draw in the whole batch.
        let part = with_auxiliary(drawn(100, 50), &streams, all(100, 50), KEY);
        assert!((0..50).all(|row| part.states.row(row) == whole.states.row(100 + row)));
    }
}
