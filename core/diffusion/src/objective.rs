//! The masked multi-time denoising objective: some streams observed, some noised, each row at its own times.

mod auxiliary;
mod contrastive;
mod density;
mod predicted_x0;
mod prompting;
mod times;
mod weight;

use anyflow_config::{ContrastiveLoss, Parameterization, State, TimeDistribution};
use tch::{Kind, Tensor};

use crate::noise::{RowNoise, START_STEP};
use crate::tensor::tensor_from_rows;
use crate::{Denoiser, DenoiserInput, EngineError, Prediction, Result, StreamSpec, TensorExt};
pub use contrastive::info_nce;
use predicted_x0::{index_tensor, picked, predicted_x0};
pub use prompting::Prompting;
use times::Rows;
pub use times::{Draw, Draws};
pub use weight::{LossOptions, loss_weight};

/// The prefix of the noise keys of training; no stream name can start with it.
const TRAINING_PREFIX: &str = "\0training/";

/// The key of all random draws of a training step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DrawKey {
    /// The seed of the training.
    pub seed: u64,
    /// The number of the step.
    pub step: u32,
}

/// The loss of one batch.
#[derive(Debug)]
pub struct LossOutput {
    /// A scalar to call backward on: about 1 for a network that predicts 0 for data of unit variance.
    pub loss: Tensor,
    /// Per participating stream, a scalar without gradient: the unweighted mean squared error over its noisy rows; 0
    /// without any. Per auxiliary stream with a head, its loss over all rows, weighted by time alone. With a
    /// contrastive loss, the fraction of rows whose nearest vector is their own.
    pub per_stream: Vec<(String, Tensor)>,
}

/// The denoising loss of a batch, with states, times and noise drawn from `key`.
///
/// With m the mask of noisy coordinates, D the number of all coordinates and k the number of those that are not noisy,
/// a row's loss is D / (D - k) * 1/D * sum w m (target - prediction)^2: Bounoua et al. 2024, multi-time masked
/// objective, divided by the constant D so that its size does not depend on the model; w is [`loss_weight`] the time of
/// the stream. The mean over rows is returned. Clean and absent coordinates have no loss and exactly no gradient.
///
/// Streams that a row lacks ([`LossOptions::lacking`]) are absent, and the row draws among the others. A row that lacks
/// all of them has no loss, but counts in the mean.
///
/// The losses of heads are added by their weights: see [`Auxiliary`](anyflow_config::Auxiliary). Very noisy rows say nothing
/// about an auxiliary stream, so the loss of a head is multiplied by a(t), as if its times were drawn in proportion to
/// a(t).
///
/// # Shapes
/// `latents`: per stream of the denoiser, `[row, shape]`, f32, unit variance, on the denoiser's device; for prompts
/// their tokens, `[row, token, feature]`, of any variance.
///
/// # Errors
/// A shape differs from its stream, or a tensor operation fails.
pub fn denoising_loss(
    denoiser: &dyn Denoiser,
    latents: &[Tensor],
    law: &TimeDistribution,
    options: &LossOptions,
    key: DrawKey,
) -> Result<LossOutput> {
    let streams = denoiser.streams();
    let rows = latents.first().and_then(|latent| latent.size().first().copied()).unwrap_or(0) as usize;
    if latents.len() != streams.len() || rows == 0 {
        let found = latents.first().map(Tensor::size).unwrap_or_default();
        let expected = streams.iter().map(StreamSpec::elements).collect();
        return Err(EngineError::Shape { what: format!("{} latents", latents.len()), expected, found });
    }
    for (stream, latent) in streams.iter().zip(latents) {
        stream.check_batch(latent, rows)?;
    }
    if ![0, rows].contains(&options.lacking.len()) {
        let what = "the streams that rows lack".to_string();
        let found = vec![options.lacking.len() as i64];
        return Err(EngineError::Shape { what, expected: vec![rows as i64], found });
    }
    let taking: Vec<usize> = (0..streams.len()).filter(|index| options.takes(&streams[*index])).collect();
    let specs: Vec<StreamSpec> = taking.iter().map(|index| streams[*index].clone()).collect();
    if specs.is_empty() {
        return Err(EngineError::Request("the loss needs at least one stream, found none".to_string()));
    }
    times::check(law, &specs)?;
    let lacking = options.lacking_among(&taking);
    let all = options.rows(rows);
    let draw = times::draw_from(law, Rows { lacking: &lacking, ..all }, &specs, key).among(&taking, streams.len());
    let draw = auxiliary::with_auxiliary(draw, streams, all, key);
    let draw = options.prompting.with_prompts(draw, streams, all, key)?;
    let batch = Batch::new(streams, &draw, options, key, latents)?;
    let noised = |(index, (stream, latent)): (usize, (&StreamSpec, &Tensor))| match stream.is_diffused() {
        true => batch.mixture(stream, index, latent, [Column::Signal, Column::Noise]),
        false => Ok(latent.shallow_clone()),
    };
    let x = streams.iter().zip(latents).enumerate().map(noised).collect::<Result<_>>()?;
    let input = DenoiserInput::new(x, batch.times()?, batch.present()?);
    let predictions = denoiser.predict(&input)?;
    let mut output = batch.loss(streams, &taking, &predictions, latents)?;
    output.heads(streams, &draw, latents, &predictions, options)?;
    match &options.contrast {
        None => {}
        Some(contrast) if contrast.stream.is_some() => {
            if let Some(predicted) = predicted_x0(contrast, streams, &draw, &input.x, &predictions)? {
                let index = predicted.index;
                let truth = picked(&latents[index], &predicted.rows)?;
                output.align(contrast, &predicted.x0, &truth, rows)?;
            }
        }
        Some(contrast) => output.contrast(contrast, denoiser.environments(&input)?, options)?,
    }
    Ok(output)
}

impl LossOutput {
    /// Adds the contrastive loss of the environment tokens, averaged over the pairs of streams. A pair compares the rows
    /// that have both streams, weighted by their share, and needs two of them.
    fn contrast(
        &mut self,
        contrast: &ContrastiveLoss,
        shown: Vec<Option<Tensor>>,
        options: &LossOptions,
    ) -> Result<()> {
        let shown = shown.into_iter().enumerate().filter_map(|(stream, tokens)| Some((stream, tokens?)));
        let shown: Vec<(usize, Tensor)> = shown.collect();
        let pairs = (0..shown.len()).flat_map(|one| (0..one).map(move |other| (one, other))).collect::<Vec<_>>();
        for (one, other) in &pairs {
            let (first, u) = &shown[*one];
            let (second, v) = &shown[*other];
            let count = u.size()[0] as usize;
            let rows = options.rows(count);
            let both: Vec<i64> = (0..count)
                .filter(|row| rows.has(*row, *first) && rows.has(*row, *second))
                .map(|row| row as i64)
                .collect();
            if both.len() < count.min(2) {
                continue;
            }
            let (u, v) = if both.len() == count {
                (u.shallow_clone(), v.shallow_clone())
            } else {
                let index = index_tensor(&both, u.device())?;
                (picked(u, &index)?, picked(v, &index)?)
            };
            let (loss, right) = info_nce(&u, &v, contrast.temperature)?;
            let share = both.len() as f64 / count as f64;
            let term = loss.try_mul_scalar(contrast.weight / pairs.len() as f64 * share)?;
            self.loss = self.loss.try_add(&term)?;
            self.per_stream.push((format!("contrastive {one}-{other}"), right.try_detach()?));
        }
        Ok(())
    }
}

/// The columns of [`Batch`].
#[derive(Clone, Copy)]
enum Column {
    /// Factors of the latent and of eps in x: (a, s) in noisy rows, (1, 0) in clean ones, (0, 0) in absent ones.
    Signal,
    Noise,
    /// Factors of the latent and of eps in the target.
    TargetX0,
    TargetEps,
    /// The factor of the squared error in the loss.
    Loss,
    /// The factor of the squared error in the stream's own metric.
    Figure,
}

impl Column {
    const COUNT: usize = 6;
}

/// All numbers of a batch that the host computes, moved to the device in one transfer: per diffused stream eps `[row, shape]`,
/// then the times and the presences `[row, stream]`, then the columns `[stream, column, row]`.
struct Batch {
    numbers: Tensor,
    rows: usize,
    streams: usize,
    /// The offset of each stream's noise, and the end of all noise.
    starts: Vec<usize>,
}

impl Batch {
    fn new(
        streams: &[StreamSpec],
        draw: &Draw,
        options: &LossOptions,
        key: DrawKey,
        latents: &[Tensor],
    ) -> Result<Self> {
        let rows = draw.states.rows();
        let mut starts = vec![0];
        let mut numbers = Vec::new();
        for stream in streams {
            let start = numbers.len();
            if stream.is_diffused() {
                numbers.resize(start + rows * stream.elements() as usize, 0.0f32);
                fill_noise(stream, key, options.first_row, &mut numbers[start..]);
            }
            starts.push(numbers.len());
        }
        numbers.extend(draw.times.iter().map(|t| *t as f32));
        numbers.extend(draw.states.presence());
        numbers.extend(columns(streams, draw, options));
        let numbers = tensor_from_rows(&numbers, numbers.len(), &[], latents[0].device())?;
        Ok(Batch { numbers, rows, streams: streams.len(), starts })
    }

    fn part(&self, start: usize, shape: &[i64]) -> Result<Tensor> {
        let length = shape.iter().product();
        self.numbers.try_narrow(0, start as i64, length)?.try_view(shape)
    }

    fn noises(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    fn times(&self) -> Result<Tensor> {
        self.part(self.noises(), &[self.rows as i64, self.streams as i64])
    }

    fn present(&self) -> Result<Tensor> {
        self.part(self.noises() + self.rows * self.streams, &[self.rows as i64, self.streams as i64])
    }

    fn eps(&self, stream: &StreamSpec, index: usize) -> Result<Tensor> {
        self.part(self.starts[index], &stream.batch_shape(self.rows))
    }

    /// A column of a stream, of the given shape.
    fn column(&self, index: usize, column: Column, shape: &[i64]) -> Result<Tensor> {
        let columns = self.noises() + 2 * self.rows * self.streams;
        self.part(columns + (index * Column::COUNT + column as usize) * self.rows, shape)
    }

    /// One column times the latent plus another times eps.
    fn mixture(&self, stream: &StreamSpec, index: usize, latent: &Tensor, columns: [Column; 2]) -> Result<Tensor> {
        let mut shape = vec![1; stream.shape.len() + 1];
        shape[0] = self.rows as i64;
        let of_latent = self.column(index, columns[0], &shape)?;
        let of_eps = self.column(index, columns[1], &shape)?;
        let scaled = latent.try_mul(&of_latent)?;
        let eps = self.eps(stream, index)?;
        scaled.try_addcmul(&eps, &of_eps)
    }

    /// What the network should predict of a stream.
    fn target(&self, stream: &StreamSpec, index: usize, latent: &Tensor) -> Result<Tensor> {
        match stream.parameterization {
            Parameterization::X0 => Ok(latent.shallow_clone()),
            Parameterization::Eps => self.eps(stream, index),
            _ => self.mixture(stream, index, latent, [Column::TargetX0, Column::TargetEps]),
        }
    }

    fn loss(
        &self,
        streams: &[StreamSpec],
        taking: &[usize],
        predictions: &[Tensor],
        latents: &[Tensor],
    ) -> Result<LossOutput> {
        let rows = [self.rows as i64];
        let mut loss: Option<Tensor> = None;
        let mut per_stream = Vec::with_capacity(streams.len());
        for &index in taking {
            let stream = &streams[index];
            let prediction = &predictions[index];
            let target = self.target(stream, index, &latents[index])?;
            stream.check_batch(prediction, self.rows)?;
            let of_row =
                prediction.try_sub(&target)?.try_square()?.try_flatten(1, -1)?.try_sum([1], false, Kind::Float)?;
            let weighted = of_row.try_dot(&self.column(index, Column::Loss, &rows)?)?;
            loss = Some(match loss {
                Some(sum) => sum.try_add(&weighted)?,
                None => weighted,
            });
            let figure = of_row.try_detach()?.try_dot(&self.column(index, Column::Figure, &rows)?)?;
            per_stream.push((stream.name.clone(), figure));
        }
        let loss =
            loss.ok_or_else(|| EngineError::Request("the loss needs at least one stream, found none".to_string()))?;
        Ok(LossOutput { loss, per_stream })
    }
}

/// Fills `out` with the training noise of a stream, for the rows from `first_row` on.
fn fill_noise(stream: &StreamSpec, key: DrawKey, first_row: usize, out: &mut [f32]) {
    let name = format!("{TRAINING_PREFIX}{}", stream.name);
    let elements = stream.elements() as usize;
    for (row, values) in out.chunks_mut(elements).enumerate() {
        RowNoise::new(key.seed, (first_row + row) as u64, &name).normals(START_STEP + key.step, values);
    }
}

/// `[stream, column, row]`; streams without noise have meaningless columns.
fn columns(streams: &[StreamSpec], draw: &Draw, options: &LossOptions) -> Vec<f32> {
    let rows = draw.states.rows();
    let of_row: Vec<f64> =
        (0..rows).map(|row| LossOptions::of_row(streams, draw.states.row(row)) / rows as f64).collect();
    let mut columns = vec![0.0; streams.len() * Column::COUNT * rows];
    for (index, (stream, columns)) in streams.iter().zip(columns.chunks_mut(Column::COUNT * rows)).enumerate() {
        let noisy = draw.states.stream(index).filter(|state| state.has_loss()).count() as i64 * stream.elements();
        for (row, state) in draw.states.stream(index).enumerate() {
            let mut set = |column: Column, value: f64| columns[column as usize * rows + row] = value as f32;
            match state {
                State::Clean => set(Column::Signal, 1.0),
                State::Absent => {}
                State::Noisy => {
                    let t = draw.times[row * draw.states.streams() + index];
                    let a = stream.schedule.signal(t);
                    let s = stream.schedule.noise(t);
                    let (of_x0, of_eps) = stream.parameterization.target_coefficients(a, s);
                    set(Column::Signal, a);
                    set(Column::Noise, s);
                    set(Column::TargetX0, of_x0);
                    set(Column::TargetEps, of_eps);
                    set(Column::Loss, of_row[row] * loss_weight(options.weight, stream, t));
                    set(Column::Figure, 1.0 / noisy as f64);
                }
            }
        }
    }
    columns
}
