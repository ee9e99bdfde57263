//! What a stage minimises.

use anyflow_diffusion::{LossOptions, TimeLaw, Weight, denoising_loss};
use anyflow_plan::plan::Trained;
use indexmap::IndexMap;
use serde::Deserialize;
use tch::{Kind, Reduction, Tensor};

use super::Trainee;
use super::data::{TableData, Tuples};
use crate::{Result, RunError};

/// Rows that frozen encoders take at a time.
const ENCODE_ROWS: i64 = 4096;

/// `objective` of a stage.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Objective {
    /// A stream's module gives back what it was given.
    Reconstruct {
        /// How far off counts.
        loss: Distance,
        /// Standard deviation of noise on the latent, in units of the latent's own: the decoder learns to forgive
        /// the small errors that a generated latent has.
        noise: f64,
    },
    /// No loss: mean and deviation of every latent over the whole table.
    Statistics {},
    /// A denoiser predicts noised latents.
    Denoise {
        /// How states and times are drawn.
        times: TimeLaw,
        /// Whether the loss is scaled by D/(D-k), k coordinates being given.
        scale: bool,
        /// The weight of the error by time.
        weight: Weight,
    },
    /// A scorer tells the class.
    Classify {
        /// Standard deviation of noise added to the array.
        noise: f64,
        /// Largest shift along the last two axes, in elements.
        shift: i64,
    },
}

/// How far a reconstruction is off, summed over a row's elements.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// |d| + d^2/2.
    L1L2,
    /// d^2.
    Mse,
    /// Cross-entropy along the last axis, the array being one-hot along it.
    CrossEntropy,
}

/// An objective with what it computes once: the latents of frozen encoders.
pub struct Prepared {
    objective: Objective,
    latents: IndexMap<String, Tensor>,
}

impl Prepared {
    /// Encodes the whole table for objectives over latents.
    ///
    /// # Errors
    /// What plugins say.
    pub fn new(objective: Objective, trained: &Trained, trainee: &Trainee, data: &TableData) -> Result<Self> {
        let mut latents = IndexMap::new();
        if let (Objective::Denoise { .. }, Trained::Denoiser(name)) = (&objective, trained) {
            for stream in trainee.session.denoisers[name].streams() {
                let net = &trainee.session.streams[&stream.name];
                let latent = net.standardise(&encode_all(trainee, data, &stream.name)?)?;
                latents.insert(stream.name.clone(), latent);
            }
        }
        Ok(Prepared { objective, latents })
    }

    /// The loss of a batch of tuples: a scalar, and figures to log.
    ///
    /// # Errors
    /// What plugins and engine say.
    pub fn loss(
        &self,
        trained: &Trained,
        trainee: &Trainee,
        data: &TableData,
        tuples: &Tuples,
        key: (u64, u64),
    ) -> Result<(Tensor, Vec<(String, f64)>)> {
        let device = trainee.session.device;
        match (&self.objective, trained) {
            (Objective::Reconstruct { loss, noise }, Trained::Stream(name)) => {
                let net = &trainee.session.streams[name];
                let array = batch(data, name, tuples)?.f_to_device(device)?;
                let latent = shaken(net.encode(&array, true)?, *noise)?;
                let back = net.decode(&latent, true)?;
                Ok((distance(*loss, &back, &array)?, Vec::new()))
            }
            (Objective::Denoise { times, scale, weight }, Trained::Denoiser(name)) => {
                let denoiser = trainee.session.denoisers[name].as_ref();
                let latents = denoiser.streams().iter().map(|s| data.select(&s.name, &self.latents[&s.name], tuples));
                let latents = latents.collect::<Result<Vec<_>>>()?;
                let options = LossOptions { subset_scale: *scale, weight: *weight };
                let output = denoising_loss(denoiser, &latents, times, &options, (key.0, key.1 as u32))
                    .map_err(RunError::diffusion(name))?;
                let each = output.per_stream.iter().map(|(name, loss)| Ok((name.clone(), loss.f_double_value(&[])?)));
                Ok((output.loss, each.collect::<Result<_>>()?))
            }
            (Objective::Classify { noise, shift }, Trained::Scorer(name)) => {
                let scorer = &trainee.scorers[name];
                let array = batch(data, &scorer.stream, tuples)?.f_to_device(device)?;
                let array = disturbed(array, *noise, *shift)?;
                let classes = Tensor::from_slice(&data.classes(tuples)?).f_to_device(device)?;
                let scores = scorer.score(&array, true)?;
                let right = scores.f_argmax(-1, false)?.f_eq_tensor(&classes)?.f_mean(Kind::Float)?;
                let none = None::<Tensor>;
                let loss = scores.f_cross_entropy_loss(&classes, none.as_ref(), Reduction::Mean, -100, 0.0)?;
                Ok((loss, vec![("accuracy".into(), right.f_double_value(&[])?)]))
            }
            (objective, trained) => Err(RunError::Internal(format!("{objective:?} for {trained:?}"))),
        }
    }
}

/// Latents of all rows of a stream, by its module as it is now: `[row, latent]`, on the session's device.
///
/// # Errors
/// What plugins say.
pub fn encode_all(trainee: &Trainee, data: &TableData, stream: &str) -> Result<Tensor> {
    let _no_grad = tch::no_grad_guard();
    let array = array(data, stream)?;
    let net = &trainee.session.streams[stream];
    let chunks = array.f_split(ENCODE_ROWS, 0)?;
    let encode = |chunk: &Tensor| net.encode(&chunk.f_to_device(trainee.session.device)?, false);
    let latents = chunks.iter().map(encode).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::f_cat(&latents, 0)?)
}

fn array<'d>(data: &'d TableData, stream: &str) -> Result<&'d Tensor> {
    data.array(stream).ok_or_else(|| RunError::Internal(format!("the stage's table has no stream {stream}")))
}

fn batch(data: &TableData, stream: &str, tuples: &Tuples) -> Result<Tensor> {
    data.select(stream, array(data, stream)?, tuples)
}

fn distance(distance: Distance, back: &Tensor, array: &Tensor) -> Result<Tensor> {
    let rows = array.size()[0].max(1) as f64;
    let off = back.f_sub(array)?;
    let sum = match distance {
        Distance::L1L2 => off.f_abs()?.f_add(&off.f_square()?.f_mul_scalar(0.5)?)?.f_sum(Kind::Float)?,
        Distance::Mse => off.f_square()?.f_sum(Kind::Float)?,
        Distance::CrossEntropy => back.f_log_softmax(-1, Kind::Float)?.f_mul(array)?.f_sum(Kind::Float)?.f_neg()?,
    };
    Ok(sum.f_div_scalar(rows)?)
}

/// A latent with noise of `noise` times the deviation that each coordinate has over the batch.
fn shaken(latent: Tensor, noise: f64) -> Result<Tensor> {
    if noise == 0.0 {
        return Ok(latent);
    }
    let deviation = latent.f_detach()?.f_std_dim([0i64].as_slice(), false, true)?;
    let shake = latent.f_randn_like()?.f_mul(&deviation)?.f_mul_scalar(noise)?;
    Ok(latent.f_add(&shake.f_detach()?)?)
}

/// Noise and one shift for the whole batch, from libtorch's generator, which the stage seeds at each step.
fn disturbed(array: Tensor, noise: f64, shift: i64) -> Result<Tensor> {
    let mut array = array;
    let axes = array.dim() as i64;
    if shift > 0 && axes > 2 {
        let by = Tensor::f_randint_low(-shift, shift + 1, [2], (Kind::Int64, tch::Device::Cpu))?;
        let by = Vec::<i64>::try_from(by)?;
        array = array.f_roll(by, [axes - 2, axes - 1])?;
    }
    if noise > 0.0 {
        array = array.f_add(&array.f_randn_like()?.f_mul_scalar(noise)?)?;
    }
    Ok(array)
}
