//! The masked multi-time denoising objective: some streams given, some noised, each row at its own times.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::noise::{RowNoise, START_STEP, normals_tensor, tensor_from_rows};
use crate::{Denoiser, DenoiserInput, EngineError, Result, State, States, StreamSpec, TensorOp};

/// The names under which training draws; no stream can have them, since sampling keys noise by the stream's own name.
const LAW_NOISE: &str = "\0law";
const TRAINING_PREFIX: &str = "\0training/";

/// How training draws the state and the time of each stream in each row.
///
/// Every time is uniform on the schedule's sampling range. A time that streams share is shared as a fraction of that
/// range, as samplers do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TimeLaw {
    /// With probability `p_cond` a non-empty proper subset of the streams, uniform over all such subsets, is given; the
    /// others share one time. Bounoua et al. 2024, "Multi-modal latent diffusion", multi-time masked training.
    SubsetShared {
        /// The probability that streams are given at all; a single stream never is.
        #[serde(default = "default_p_cond")]
        p_cond: f64,
        /// The probability that some of a row's given streams are absent instead of clean: how many is uniform from one
        /// to all of them, which is uniform too. Streams that are generated are never absent, so at least one stream of
        /// every row is noisy. What guidance drops, and what is ignored in sampling, is trained by this.
        #[serde(default)]
        p_absent: f64,
        /// Whether each row draws its own subset, or one is drawn for the batch; times are per row either way.
        #[serde(default)]
        per: Per,
    },
    /// All streams noisy, each at its own time: Bao et al. 2023, "One transformer fits all distributions".
    Independent {},
    /// All streams noisy at one shared time.
    SharedAll {},
}

/// What draws a subset.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Every row.
    #[default]
    Sample,
    /// The whole batch.
    Batch,
}

fn default_p_cond() -> f64 {
    0.5
}

/// States and times of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Draw {
    /// `[row, stream]`.
    pub states: States,
    /// `[row, stream]`, row after row: the time of a noisy stream, 0 of a clean one, 1 of an absent one.
    pub times: Vec<f64>,
}

impl TimeLaw {
    /// Refuses probabilities that are none.
    pub fn check(&self) -> Result<()> {
        let TimeLaw::SubsetShared { p_cond, p_absent, .. } = *self else { return Ok(()) };
        for (field, value) in [("p_cond", p_cond), ("p_absent", p_absent)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(EngineError::Config { field, wanted: "from 0 to 1", found: value.to_string() });
            }
        }
        Ok(())
    }

    /// Draws for `rows` rows. A pure function of its arguments: training that resumes at a step draws the same again.
    pub fn draw(&self, streams: &[StreamSpec], rows: usize, seed: u64, step: u32) -> Draw {
        self.draw_from(0, streams, rows, seed, step)
    }

    /// As [`TimeLaw::draw`], for the rows from `first` on.
    fn draw_from(&self, first: usize, streams: &[StreamSpec], rows: usize, seed: u64, step: u32) -> Draw {
        let mut states = States::filled(rows, streams.len(), State::Noisy);
        let mut times = Vec::with_capacity(rows * streams.len());
        for row in 0..rows {
            let own = uniforms(streams.len(), seed, first + row, step);
            let shared = uniforms(streams.len(), seed, 0, step);
            if let TimeLaw::SubsetShared { p_cond, p_absent, per } = *self {
                let drawn = if per == Per::Batch { &shared } else { &own };
                draw_subset(states.row_mut(row), drawn, p_cond, p_absent);
            }
            for (place, stream) in streams.iter().enumerate() {
                let fraction = if matches!(self, TimeLaw::Independent {}) { own.times[place] } else { own.times[0] };
                let (least, most) = (stream.schedule.t_min(), stream.schedule.t_max());
                times.push(states.row(row)[place].time(least + fraction * (most - least)));
            }
        }
        Draw { states, times }
    }
}

/// The uniforms of one row.
struct Uniforms {
    coin: f64,
    subset: f64,
    absent_coin: f64,
    absent_count: f64,
    times: Vec<f64>,
    /// The absent streams are the given ones with the least of these.
    absent_order: Vec<f64>,
}

fn uniforms(streams: usize, seed: u64, row: usize, step: u32) -> Uniforms {
    let mut all = vec![0.0; 4 + 2 * streams];
    RowNoise::new(seed, row as u64, LAW_NOISE).uniforms(step, &mut all);
    let [coin, subset, absent_coin, absent_count] = [all[0], all[1], all[2], all[3]];
    let (times, absent_order) = (all[4..4 + streams].to_vec(), all[4 + streams..].to_vec());
    Uniforms { coin, subset, absent_coin, absent_count, times, absent_order }
}

fn draw_subset(states: &mut [State], drawn: &Uniforms, p_cond: f64, p_absent: f64) {
    // Subsets are bit patterns 1 .. 2^n - 2; 52 streams are as many as a uniform has bits.
    let subsets = (1u64 << states.len().min(52)) - 2;
    if subsets == 0 || drawn.coin >= p_cond {
        return;
    }
    let subset = 1 + ((drawn.subset * subsets as f64) as u64).min(subsets - 1);
    let mut given: Vec<usize> = (0..states.len()).filter(|place| subset >> place & 1 == 1).collect();
    given.iter().for_each(|place| states[*place] = State::Clean);
    if drawn.absent_coin < p_absent {
        given.sort_by(|a, b| drawn.absent_order[*a].total_cmp(&drawn.absent_order[*b]));
        let count = 1 + ((drawn.absent_count * given.len() as f64) as usize).min(given.len() - 1);
        given[..count].iter().for_each(|place| states[*place] = State::Absent);
    }
}

/// How the loss is weighted.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LossOptions {
    /// Multiplies a row's loss by D / (D - k), with D coordinates of which k are not noisy, so that rows with much given
    /// weigh as much as rows with nothing given.
    #[serde(default = "default_subset_scale")]
    pub subset_scale: bool,
    /// The place of the first of these rows in the step's batch: a micro-batch draws what its rows would draw in the
    /// whole batch.
    #[serde(skip)]
    pub first_row: usize,
}

fn default_subset_scale() -> bool {
    true
}

impl Default for LossOptions {
    fn default() -> Self {
        LossOptions { subset_scale: default_subset_scale(), first_row: 0 }
    }
}

/// The loss of one batch.
#[derive(Debug)]
pub struct LossOutput {
    /// A scalar to go backward from: about 1 for a network that predicts 0 of data of unit variance.
    pub loss: Tensor,
    /// Per stream, a scalar without gradient: the mean squared error over the noisy rows, unweighted; 0 without any.
    pub per_stream: Vec<(String, Tensor)>,
}

/// The denoising loss of a batch, with states, times and noise drawn from (seed, step).
///
/// With m the mask of noisy coordinates, D all of them and k those that are not noisy, a row's loss is
/// D / (D - k) * 1/D * sum m (target - prediction)^2: Bounoua et al. 2024, multi-time masked objective, divided by the
/// constant D so that its size does not depend on the model. The mean over rows is returned. Clean and absent
/// coordinates have no loss and exactly no gradient.
///
/// # Shapes
/// `latents`: per stream of the denoiser, `[row, shape]`, f32, unit variance, on the denoiser's device.
///
/// # Errors
/// Shapes do not match the streams, or a tensor operation fails.
pub fn denoising_loss(
    denoiser: &dyn Denoiser,
    latents: &[Tensor],
    law: &TimeLaw,
    options: &LossOptions,
    (seed, step): (u64, u32),
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
    let draw = law.draw_from(options.first_row, streams, rows, seed, step);
    let device = latents[0].device();
    let (mut x, mut targets) = (Vec::new(), Vec::new());
    for (place, latent) in latents.iter().enumerate() {
        let (noised, target) = noised(&streams[place], place, latent, &draw, (seed, step, options.first_row))?;
        x.push(noised);
        targets.push(target);
    }
    let times: Vec<f32> = draw.times.iter().map(|t| *t as f32).collect();
    let t = tensor_from_rows(&times, rows, &[streams.len() as i64], device)?;
    let present = tensor_from_rows(&draw.states.presence(), rows, &[streams.len() as i64], device)?;
    let predictions = denoiser.predict(&DenoiserInput::new(x, t, present))?;
    weighted(streams, &draw, &predictions, &targets, options, device)
}

/// x_t and the target of one stream: clean rows as they are, absent rows zero.
fn noised(
    stream: &StreamSpec,
    place: usize,
    latent: &Tensor,
    draw: &Draw,
    (seed, step, first_row): (u64, u32, usize),
) -> Result<(Tensor, Tensor)> {
    let rows = draw.states.rows();
    let keys: Vec<u64> = (first_row as u64..(first_row + rows) as u64).collect();
    let name = format!("{TRAINING_PREFIX}{}", stream.name);
    let eps = normals_tensor(seed, &keys, &name, START_STEP + step, &stream.shape, latent.device())?;
    let mut coefficients = vec![[0.0f32; 4]; rows];
    for ((row, values), state) in coefficients.iter_mut().enumerate().zip(draw.states.stream(place)) {
        let t = draw.times[row * draw.states.streams() + place];
        let (a, s) = (stream.schedule.signal(t), stream.schedule.noise(t));
        let (of_x0, of_eps) = stream.parameterization.target_coefficients(a, s);
        *values = match state {
            State::Noisy => [a, s, of_x0, of_eps].map(|value| value as f32),
            State::Clean => [1.0, 0.0, 0.0, 0.0],
            State::Absent => [0.0; 4],
        };
    }
    let column = |index: usize| {
        let values: Vec<f32> = coefficients.iter().map(|row| row[index]).collect();
        tensor_from_rows(&values, rows, &vec![1; stream.shape.len()], latent.device())
    };
    let mixture = |of_latent: Tensor, of_eps: Tensor| {
        let scaled = latent.f_mul(&of_latent).op("mul", &[latent, &of_latent])?;
        scaled.f_addcmul(&eps, &of_eps).op("addcmul", &[&scaled, &eps, &of_eps])
    };
    Ok((mixture(column(0)?, column(1)?)?, mixture(column(2)?, column(3)?)?))
}

/// The loss from predictions and targets.
fn weighted(
    streams: &[StreamSpec],
    draw: &Draw,
    predictions: &[Tensor],
    targets: &[Tensor],
    options: &LossOptions,
    device: Device,
) -> Result<LossOutput> {
    let rows = draw.states.rows();
    let weights: Vec<f64> = (0..rows).map(|row| row_weight(streams, draw.states.row(row), options)).collect();
    let mut loss = Tensor::f_zeros([0i64; 0], (Kind::Float, device)).op("zeros", &[])?;
    let mut per_stream = Vec::with_capacity(streams.len());
    for (place, stream) in streams.iter().enumerate() {
        let (prediction, target) = (&predictions[place], &targets[place]);
        stream.check_batch(prediction, rows)?;
        let mask = draw.states.loss_mask(place);
        let column = |values: &[f32]| tensor_from_rows(values, rows, &[1], device);
        let error = prediction.f_sub(target).op("sub", &[prediction, target])?;
        let flat = error.f_reshape([rows as i64, -1]).op("reshape", &[&error])?;
        let mask_column = column(&mask)?;
        let masked = flat.f_mul(&mask_column).op("mul", &[&flat, &mask_column])?;
        let square = masked.f_square().op("square", &[&masked])?;
        let weight: Vec<f32> = weights.iter().map(|weight| (weight / rows as f64) as f32).collect();
        let weight = column(&weight)?;
        let weighted = square.f_mul(&weight).op("mul", &[&square, &weight])?;
        let sum = weighted.f_sum(Kind::Float).op("sum", &[&weighted])?;
        loss = loss.f_add(&sum).op("add", &[&loss, &sum])?;
        let noisy = mask.iter().filter(|value| **value > 0.0).count() as i64 * stream.elements();
        let total = square.f_sum(Kind::Float).op("sum", &[&square])?.f_detach().op("detach", &[&square])?;
        let mean = total.f_div_scalar(noisy.max(1)).op("div", &[&total])?;
        per_stream.push((stream.name.clone(), mean));
    }
    Ok(LossOutput { loss, per_stream })
}

/// 1/D, times D / (D - k) if the options say so.
fn row_weight(streams: &[StreamSpec], states: &[State], options: &LossOptions) -> f64 {
    let all: i64 = streams.iter().map(StreamSpec::elements).sum();
    let noisy: i64 =
        streams.iter().zip(states).filter(|(_, state)| state.has_loss()).map(|(stream, _)| stream.elements()).sum();
    1.0 / if options.subset_scale { noisy.max(1) } else { all.max(1) } as f64
}
