//! What a stage minimises.

use anyflow_diffusion::{
    ContrastiveLoss, DrawKey, LossOptions, Prompting, StreamSpec, TimeDistribution, Weight, denoising_loss, info_nce,
};
use anyflow_plan::plan::Trained;
use indexmap::IndexMap;
use serde::Deserialize;
use tch::{Kind, Reduction, Tensor};

use super::Trainee;
use super::augment::Augment;
use super::cache::LatentCache;
use super::data::{TableData, Tuples};
use crate::latents::Latents;
use crate::{Result, RunError};

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
    Statistics {
        /// Whose latents; all if not given.
        streams: Option<Vec<String>>,
        /// What shares a mean and a deviation.
        per: Per,
    },
    /// A denoiser predicts noised latents.
    Denoise {
        /// How states and times are drawn.
        times: TimeDistribution,
        /// The weight of the error by time.
        weight: Weight,
        /// Of this loss beside those of heads.
        denoising: f64,
        /// Of a denoiser that reads prompts: how often a row has none.
        p_unprompted: Option<f64>,
        /// The streams that take part; all if not given.
        streams: Option<Vec<String>>,
        /// Of what coupled streams show one another, or of what is recovered of one.
        contrast: Option<ContrastiveLoss>,
        /// How rows are moved.
        augment: Option<Augment>,
    },
    /// Prompts of one row come to lie together, those of different rows apart.
    Contrast {
        /// The prompt that the other one meets.
        with: String,
        /// What cosines are divided by.
        temperature: f64,
    },
    /// A scorer tells the class.
    Classify {
        /// Standard deviation of noise added to the array.
        noise: f64,
        /// Largest shift along the last two axes, in elements.
        shift: i64,
    },
}

/// What shares a mean and a deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Nothing: each coordinate has its own.
    Coordinate,
    /// All coordinates of a stream, so that those that hardly vary do not weigh as much as the others.
    Stream,
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
pub struct Prepared<'a> {
    objective: Objective,
    trained: &'a Trained,
    trainee: &'a Trainee,
    data: &'a TableData,
    latents: IndexMap<String, Frozen>,
    /// Prompts of the denoiser that the table has no column for, a bit each.
    missing: u64,
    /// Streams of the denoiser that take no part, a bit each.
    left_out: u64,
}

/// What a frozen encoder has made.
pub enum Frozen {
    /// The latents of a module.
    Encoded(Latents),
    /// A stream without one: its arrays are its latents.
    Arrays,
    /// A module that encodes rows as they were moved for a step.
    Moved,
}

/// The rows of a step, gathered and disturbed; network calls take parts of it.
pub struct Batch {
    /// What the objective reads, `[row, ...]` each.
    tensors: Vec<Tensor>,
}

impl Batch {
    /// So many rows from `first` on.
    fn part(&self, first: usize, rows: usize) -> Result<Vec<Tensor>> {
        let narrow = |tensor: &Tensor| Ok(tensor.f_narrow(0, first as i64, rows as i64)?);
        self.tensors.iter().map(narrow).collect()
    }
}

/// The name of the loss among a step's figures.
pub const LOSS: &str = "loss";

impl<'a> Prepared<'a> {
    /// Encodes the whole table for objectives over latents, or finds it encoded.
    ///
    /// # Errors
    /// What plugins say; disk.
    pub fn new(
        objective: Objective,
        trained: &'a Trained,
        trainee: &'a Trainee,
        data: &'a TableData,
        cache: &LatentCache<'_>,
    ) -> Result<Self> {
        let (mut latents, mut missing, mut left_out) = (IndexMap::new(), 0, 0);
        match (&objective, trained) {
            (Objective::Denoise { streams: named, augment, .. }, Trained::Denoiser(name)) => {
                let denoiser = &trainee.session.denoisers[name];
                let (streams, prompts) = denoiser.streams().split_at(denoiser.streams().len() - denoiser.prompts());
                let (diffused, companions) = streams.split_at(denoiser.diffused());
                let takes = |stream: &StreamSpec| {
                    let is_named = named.as_ref().is_none_or(|named| named.contains(&stream.name));
                    is_named || companions.contains(stream)
                };
                for (place, stream) in diffused.iter().enumerate() {
                    left_out |= u64::from(!takes(stream)) << place;
                }
                for (place, prompt) in prompts.iter().enumerate() {
                    missing |= u64::from(data.array(&prompt.name).is_none()) << place;
                }
                for stream in streams.iter().chain(prompts).filter(|stream| {
                    let is_prompt = trainee.session.streams[&stream.name].is_prompt();
                    if is_prompt { data.array(&stream.name).is_some() } else { takes(stream) }
                }) {
                    let is_moved = augment.as_ref().is_some_and(|augment| augment.streams.contains(&stream.name));
                    let frozen = if is_moved { Frozen::Moved } else { frozen(trainee, data, &stream.name, cache)? };
                    latents.insert(stream.name.clone(), frozen);
                }
            }
            (Objective::Contrast { with, .. }, Trained::Prompts(names)) if !names.contains(with) => {
                latents.insert(with.clone(), frozen(trainee, data, with, cache)?);
            }
            (Objective::Classify { .. }, Trained::Scorer(name)) => {
                data.has_classes_below(name, trainee.scorers[name].classes)?;
            }
            _ => {}
        }
        Ok(Prepared { objective, trained, trainee, data, latents, missing, left_out })
    }

    /// The rows of a step. Disturbances are drawn for all of them at once, from libtorch's generator, which the stage
    /// seeds at each step.
    ///
    /// # Errors
    /// What plugins say.
    pub fn gather(&mut self, tuples: &Tuples) -> Result<Batch> {
        let (data, device) = (self.data, self.trainee.session.device);
        let rows = |stream: &str| data.select(stream, array(data, stream)?, tuples);
        let tensors = match (&self.objective, self.trained) {
            (Objective::Reconstruct { noise, .. }, Trained::Stream(name)) => {
                let array = rows(name)?.f_to_device(device)?;
                let count = array.size()[0];
                let latent = &self.trainee.session.streams[name].latent;
                let size: Vec<i64> = std::iter::once(count).chain(latent.iter().copied()).collect();
                let shake = (*noise > 0.0).then(|| Tensor::f_randn(size, (Kind::Float, device))).transpose()?;
                std::iter::once(array).chain(shake).collect()
            }
            (Objective::Denoise { augment, .. }, Trained::Denoiser(name)) => {
                let streams = &self.trainee.session.streams;
                let moves = augment.as_ref().map(|augment| augment.draw(tuples.len())).transpose()?;
                let of = |stream: &StreamSpec| {
                    let (name, net) = (&stream.name, &streams[&stream.name]);
                    let latent = match self.latents.get_mut(name) {
                        Some(Frozen::Encoded(latents)) => latents.gather(&data.rows_of(name, tuples))?,
                        Some(Frozen::Arrays) => rows(name)?,
                        Some(Frozen::Moved) => {
                            let _no_grad = tch::no_grad_guard();
                            let array = rows(name)?;
                            let array =
                                moves.as_ref().map_or(Ok(array.shallow_clone()), |moves| moves.apply(&array))?;
                            net.encode(&array.f_to_device(device)?, false)?
                        }
                        None => Tensor::f_zeros(stream.batch_shape(tuples.len()), (Kind::Float, device))?,
                    };
                    let latent = latent.f_to_device(device)?;
                    if net.is_prompt() { Ok(latent) } else { net.standardise(&latent) }
                };
                self.trainee.session.denoisers[name].streams().iter().map(of).collect::<Result<_>>()?
            }
            (Objective::Contrast { with, .. }, Trained::Prompts(names)) => {
                let arrays = names.iter().filter(|name| *name != with).chain([with]).map(|name| {
                    let rows = match self.latents.get_mut(name) {
                        Some(Frozen::Encoded(tokens)) => tokens.gather(&data.rows_of(name, tuples))?,
                        _ => rows(name)?,
                    };
                    Ok(rows.f_to_device(device)?)
                });
                arrays.collect::<Result<_>>()?
            }
            (Objective::Classify { noise, shift }, Trained::Scorer(name)) => {
                let array = rows(&self.trainee.scorers[name].stream)?.f_to_device(device)?;
                let classes = Tensor::from_slice(&data.classes(tuples)?).f_to_device(device)?;
                vec![disturbed(array, *noise, *shift)?, classes]
            }
            (objective, trained) => return Err(mismatch(objective, trained)),
        };
        Ok(Batch { tensors })
    }

    /// The loss of `rows` rows of a batch from `first` on: a scalar, and figures to log, on the device.
    ///
    /// # Errors
    /// What plugins and engine say.
    pub fn loss(
        &self,
        batch: &Batch,
        (first, rows): (usize, usize),
        key: (u64, u64),
    ) -> Result<(Tensor, Vec<(String, Tensor)>)> {
        let part = batch.part(first, rows)?;
        match (&self.objective, self.trained) {
            (Objective::Reconstruct { loss, noise }, Trained::Stream(name)) => {
                let net = &self.trainee.session.streams[name];
                let latent = shaken(net.encode(&part[0], true)?, part.get(1), *noise)?;
                let back = net.decode(&latent, true)?;
                Ok((distance(*loss, &back, &part[0])?, Vec::new()))
            }
            (Objective::Denoise { times, weight, denoising, p_unprompted, contrast, .. }, Trained::Denoiser(name)) => {
                let denoiser = self.trainee.session.denoisers[name].as_ref();
                let p_unprompted = p_unprompted.unwrap_or(Prompting::default().p_unprompted);
                let prompting = Prompting { p_unprompted, missing: self.missing };
                let options = LossOptions {
                    weight: *weight,
                    denoising: *denoising,
                    first_row: first,
                    prompting,
                    left_out: self.left_out,
                    contrast: contrast.clone(),
                };
                let key = DrawKey { seed: key.0, step: key.1 as u32 };
                let output =
                    denoising_loss(denoiser, &part, times, &options, key).map_err(RunError::diffusion(name))?;
                Ok((output.loss, output.per_stream))
            }
            (Objective::Contrast { with, temperature }, Trained::Prompts(names)) => {
                let embed = |name: &String, array: &Tensor| self.trainee.session.streams[name].encode(array, true);
                let other = names.iter().find(|name| *name != with).unwrap_or(with);
                let met = if names.contains(with) { embed(with, &part[1])? } else { part[1].shallow_clone() };
                let (loss, right) =
                    info_nce(&embed(other, &part[0])?, &met, *temperature).map_err(RunError::diffusion(other))?;
                Ok((loss, vec![("accuracy".into(), right)]))
            }
            (Objective::Classify { .. }, Trained::Scorer(name)) => {
                let (scores, classes) = (self.trainee.scorers[name].score(&part[0], true)?, &part[1]);
                let right = scores.f_argmax(-1, false)?.f_eq_tensor(classes)?.f_mean(Kind::Float)?;
                let none = None::<Tensor>;
                let loss = scores.f_cross_entropy_loss(classes, none.as_ref(), Reduction::Mean, -100, 0.0)?;
                Ok((loss, vec![("accuracy".into(), right)]))
            }
            (objective, trained) => Err(mismatch(objective, trained)),
        }
    }
}

fn mismatch(objective: &Objective, trained: &Trained) -> RunError {
    RunError::Internal(format!("{objective:?} for {trained:?}"))
}

/// Latents of all rows of a stream, by its module as it is now.
///
/// # Errors
/// What plugins say; disk.
pub fn frozen(trainee: &Trainee, data: &TableData, stream: &str, cache: &LatentCache<'_>) -> Result<Frozen> {
    match cache.module(stream) {
        Some(module) => {
            let latents = cache.latents(&trainee.session.streams[stream], module, array(data, stream)?)?;
            Ok(Frozen::Encoded(latents))
        }
        None => Ok(Frozen::Arrays),
    }
}

/// The same in one tensor, `[row, latent]`, on the session's device.
///
/// # Errors
/// What plugins say; disk.
pub fn encode_all(trainee: &Trainee, data: &TableData, stream: &str, cache: &LatentCache<'_>) -> Result<Tensor> {
    let all = match frozen(trainee, data, stream, cache)? {
        Frozen::Encoded(mut latents) => latents.gather(&(0..latents.rows() as u32).collect::<Vec<_>>())?,
        Frozen::Arrays | Frozen::Moved => array(data, stream)?.shallow_clone(),
    };
    Ok(all.f_to_device(trainee.session.device)?)
}

fn array<'d>(data: &'d TableData, stream: &str) -> Result<&'d Tensor> {
    data.array(stream).ok_or_else(|| RunError::Internal(format!("the stage's table has no stream {stream}")))
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

/// A latent with normal noise of `noise` times the deviation that each coordinate has over the rows of the call.
fn shaken(latent: Tensor, shake: Option<&Tensor>, noise: f64) -> Result<Tensor> {
    let Some(shake) = shake else { return Ok(latent) };
    let deviation = latent.f_detach()?.f_std_dim([0i64].as_slice(), false, true)?;
    Ok(latent.f_add(&shake.f_mul(&deviation)?.f_mul_scalar(noise)?)?)
}

/// Noise and one shift for the whole batch.
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
