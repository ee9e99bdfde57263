//! Auxiliary streams in training: dropout of their embeddings, and the losses of heads.

use tch::{Kind, Tensor};

use super::{Draw, DrawKey, LossOptions, LossOutput};
use crate::auxiliary::class_moments;
use crate::noise::RowNoise;
use crate::tensor::tensor_from_rows;
use crate::{Auxiliary, Denoiser, EngineError, HeadLoss, Result, State, States, TensorExt};

/// The noise key of embedding dropout; no stream can have this name.
const DROPOUT_NOISE: &str = "\0companion";

/// Lower bound of probabilities: centring and scaling back in f32 is not more exact.
const LEAST_PROBABILITY: f64 = 1e-6;

/// Appends the states of the auxiliary streams to a draw over the diffused streams: clean, or absent if the embedding
/// is dropped or the row lacks the stream. An auxiliary stream that is not aggregated has no embedding.
pub(super) fn with_auxiliary(draw: Draw, denoiser: &dyn Denoiser, options: &LossOptions, key: DrawKey) -> Draw {
    let auxiliaries = denoiser.auxiliaries();
    if auxiliaries.is_empty() {
        return draw;
    }
    let rows = draw.states.rows();
    let diffused = draw.states.streams();
    let mut states = States::filled(rows, diffused + auxiliaries.len(), State::Absent);
    let mut times = Vec::new();
    let mut drawn = vec![0.0; auxiliaries.len()];
    for row in 0..rows {
        RowNoise::new(key.seed, (options.first_row + row) as u64, DROPOUT_NOISE).uniforms(key.step, &mut drawn);
        let (of_streams, of_auxiliaries) = states.row_mut(row).split_at_mut(diffused);
        of_streams.copy_from_slice(draw.states.row(row));
        for (index, (state, auxiliary)) in of_auxiliaries.iter_mut().zip(auxiliaries).enumerate() {
            let is_kept = auxiliary.aggregate.as_ref().is_some_and(|aggregate| drawn[index] >= aggregate.dropout);
            if is_kept && options.has(row, diffused + index) {
                *state = State::Clean;
            }
        }
        times.extend_from_slice(&draw.times[row * diffused..(row + 1) * diffused]);
        times.extend(of_auxiliaries.iter().map(|state| state.time(0.0)));
    }
    Draw { states, times }
}

impl LossOutput {
    /// Adds the losses of heads to the loss so far, which is first multiplied by `denoise_weight`. A row that lacks the
    /// stream of a head has no loss there.
    pub(super) fn heads(
        &mut self,
        denoiser: &dyn Denoiser,
        draw: &Draw,
        latents: &[Tensor],
        predictions: &[Tensor],
        options: &LossOptions,
    ) -> Result<()> {
        if options.denoise_weight != 1.0 {
            self.loss = self.loss.try_mul_scalar(options.denoise_weight)?;
        }
        for (number, auxiliary) in denoiser.auxiliaries().iter().enumerate() {
            let Some(head) = &auxiliary.head else { continue };
            let index = denoiser.diffused() + number;
            let read = followed(denoiser, auxiliary)?;
            let own = OwnEmbedding { index, weight: head.embedding_weight, options };
            let weights = weights(denoiser, draw, read, own);
            let weights = tensor_from_rows(&weights, weights.len(), &[], latents[index].device())?;
            let of_row = off(head.loss, &predictions[index], &latents[index])?;
            let loss = of_row.try_dot(&weights)?;
            let figure = loss.try_detach()?;
            self.per_stream.push((denoiser.streams()[index].name.clone(), figure));
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
fn followed(denoiser: &dyn Denoiser, auxiliary: &Auxiliary) -> Result<usize> {
    let Some(aggregate) = &auxiliary.aggregate else { return Ok(0) };
    let index = denoiser.streams().iter().position(|stream| stream.name == aggregate.into);
    index.ok_or_else(|| EngineError::Request(format!("unknown stream {:?} in `into`", aggregate.into)))
}

/// The weight of rows that contain the embedding of the auxiliary stream itself.
struct OwnEmbedding<'a> {
    /// The index of the auxiliary stream.
    index: usize,
    weight: f64,
    /// The streams that rows lack.
    options: &'a LossOptions,
}

/// a(t) of the stream at index `read`, divided by the number of rows: `[row]`. 0 if that stream is absent, or if the row
/// lacks the auxiliary stream; multiplied by the weight in rows with the own embedding.
fn weights(denoiser: &dyn Denoiser, draw: &Draw, read: usize, own: OwnEmbedding<'_>) -> Vec<f32> {
    let rows = draw.states.rows();
    let streams = draw.states.streams();
    let schedule = &denoiser.streams()[read].schedule;
    let of_row = |row: usize| match draw.states.row(row)[read] {
        State::Absent => 0.0,
        State::Clean => 1.0,
        State::Noisy => schedule.signal(draw.times[row * streams + read]),
    };
    let share = |row: usize| match draw.states.row(row)[own.index] {
        _ if !own.options.has(row, own.index) => 0.0,
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
    use tch::Device;

    use super::*;
    use crate::objective::times::{Rows, draw_from};
    use crate::{
        Aggregation, AggregationSchedule, BuildOptions, Draws, HeadConfig, HeadNetwork, Network, Parameterization,
        Precision, Schedule, StreamSpec, TimeDistribution, build_joined,
    };

    const KEY: DrawKey = DrawKey { seed: 7, step: 3 };

    fn auxiliary(name: &str, aggregate: Option<f64>) -> (StreamSpec, Auxiliary) {
        let into = "x".to_string();
        let reads = "last".to_string();
        let law = AggregationSchedule::Start;
        let aggregate = aggregate.map(|dropout| Aggregation { into, weight: 1.0, law, dropout });
        let network = HeadNetwork::Mlp { width: 4 };
        let head = Some(HeadConfig { reads, network, loss: HeadLoss::Mse, weight: 1.0, embedding_weight: 1.0 });
        (stream(name), Auxiliary { aggregate, head })
    }

    fn stream(name: &str) -> StreamSpec {
        let schedule = Schedule::cosine();
        let parameterization = Parameterization::Eps;
        StreamSpec { name: name.to_string(), shape: vec![2], schedule, parameterization }
    }

    #[test]
    fn embeddings_are_dropped_independently_with_their_probabilities() {
        let auxiliaries = vec![auxiliary("a", Some(0.3)), auxiliary("b", Some(0.0)), auxiliary("c", None)];
        let network: Network = serde_json::from_str(r#"{"kind": "residual-mlp", "width": 8, "blocks": 1}"#).unwrap();
        let streams = [stream("x")];
        let denoiser = build_joined(
            &network,
            &streams,
            auxiliaries,
            Vec::new(),
            BuildOptions { precision: Precision::F32, device: Device::Cpu, seed: 1 },
        )
        .unwrap();
        let rows = 8000;
        let law = TimeDistribution::SharedAll(Default::default());
        let draw = law.draw(&streams, rows, 7, 3);
        let whole = with_auxiliary(draw.clone(), denoiser.as_ref(), &LossOptions::default(), KEY);
        let clean = |index: usize| {
            (0..rows).filter(|row| whole.states.row(*row)[index] == State::Clean).count() as f64 / rows as f64
        };
        assert!((clean(1) - 0.7).abs() < 0.02, "{}", clean(1));
        assert_eq!((clean(2), clean(3)), (1.0, 0.0));
        for row in 0..rows {
            assert_eq!(whole.states.row(row)[0], State::Noisy);
            assert_eq!(whole.times[row * 4], draw.times[row]);
        }
        // A part of the batch draws what its rows draw in the whole batch.
        let few = Rows { first: 100, count: 50, lacking: &[] };
        let options = LossOptions { first_row: 100, ..LossOptions::default() };
        let part = with_auxiliary(draw_from(&law, few, &streams, KEY), denoiser.as_ref(), &options, KEY);
        assert!((0..50).all(|row| part.states.row(row) == whole.states.row(100 + row)));
    }
}
