//! Denoising: a denoiser predicts the noise or x0 of noised latents.

use anyflow_config::objective::Denoise as Options;
use anyflow_diffusion::{DrawKey, LossOptions, Prompting, StreamKind, StreamSpec, denoising_loss};
use indexmap::IndexMap;
use tch::{Kind, Tensor};

use super::{BatchPart, Objective, StepBatch, StepKey, StepLoss};
use crate::table::{RowNeeds, Tuples};
use crate::train::cache::LatentCache;
use crate::train::frozen::{Frozen, Setting};
use crate::{Result, RunError};

/// Trains a denoiser.
pub struct Denoise<'a> {
    options: &'a Options,
    /// The denoiser.
    name: &'a str,
    setting: Setting<'a>,
    /// Latents of the streams and tokens of the prompts that take part. The others are zero.
    latents: IndexMap<String, Frozen>,
    /// The prompts of the denoiser that the table does not have.
    missing: Vec<String>,
    /// The diffused streams of the denoiser that take no part.
    left_out: Vec<String>,
}

impl<'a> Denoise<'a> {
    /// Encodes the streams and prompts that take part.
    ///
    /// # Errors
    /// Errors of plugins; the disk.
    pub fn prepare(options: &'a Options, name: &'a str, setting: Setting<'a>, cache: &LatentCache<'_>) -> Result<Self> {
        let mut latents = IndexMap::new();
        let mut missing = Vec::new();
        let mut left_out = Vec::new();
        for StreamSpec { name, kind, .. } in setting.trainee.session.denoisers[name].streams() {
            let takes_part = || options.streams.as_ref().is_none_or(|streams| streams.contains(name));
            match kind {
                StreamKind::Diffused if !takes_part() => left_out.push(name.clone()),
                StreamKind::Prompt(_) if setting.data.array(name).is_none() => missing.push(name.clone()),
                _ => drop(latents.insert(name.clone(), setting.frozen(name, cache)?)),
            }
        }
        Ok(Denoise { options, name, setting, latents, missing, left_out })
    }
}

impl Objective for Denoise<'_> {
    fn unit(&self) -> &'static str {
        "weighted squared error, mean over elements"
    }

    /// One of the diffused streams that take part. The others are absent in rows that lack them.
    fn needs(&self) -> RowNeeds {
        let streams = self.setting.trainee.session.denoisers[self.name].streams().iter();
        let taking = streams.filter(|stream| stream.is_diffused() && !self.left_out.contains(&stream.name));
        RowNeeds { any: taking.map(|stream| stream.name.clone()).collect(), ..RowNeeds::default() }
    }

    /// The normalized latent of each stream and the tokens of each prompt, in the denoiser's order.
    fn gather(&mut self, tuples: &Tuples) -> Result<StepBatch> {
        let session = &self.setting.trainee.session;
        let mut tensors = Vec::new();
        let mut lacking = Vec::new();
        for (index, stream) in session.denoisers[self.name].streams().iter().enumerate() {
            let net = &session.streams[&stream.name];
            let latent = match self.latents.get(&stream.name) {
                Some(Frozen::Encoded(latents)) => latents.gather(&self.setting.data.rows_of(&stream.name, tuples))?,
                Some(Frozen::Arrays) => self.setting.rows(&stream.name, tuples)?,
                None => Tensor::f_zeros(stream.batch_shape(tuples.len()), (Kind::Float, session.device))?,
            };
            let latent = latent.f_to_device(session.device)?;
            let mut latent = if net.is_prompt() { latent } else { net.normalize(&latent)? };
            if let Some(missing) = self.setting.missing(&stream.name, tuples) {
                // The latent of a missing row is meaningless and may not be finite.
                latent = latent.f_masked_fill(&mask(&missing, &latent)?, 0.0)?;
                lacking.resize(missing.len(), 0);
                lacking.iter_mut().zip(missing).for_each(|(bits, missing)| *bits |= u64::from(missing) << index);
            }
            tensors.push(latent);
        }
        Ok(StepBatch { tensors, lacking })
    }

    fn loss(&self, part: &BatchPart, key: StepKey) -> Result<StepLoss> {
        let denoiser = self.setting.trainee.session.denoisers[self.name].as_ref();
        let options = LossOptions {
            weight: self.options.weight,
            denoise_weight: self.options.denoise_weight,
            first_row: part.first_row,
            prompting: Prompting {
                p_uncond: self.options.p_uncond.unwrap_or(Prompting::default().p_uncond),
                missing: self.missing.clone(),
            },
            left_out: self.left_out.clone(),
            lacking: part.lacking.clone(),
            contrast: self.options.contrast.clone(),
        };
        let key = DrawKey { seed: key.seed, step: key.step as u32 };
        let output = denoising_loss(denoiser, &part.tensors, &self.options.times, &options, key)
            .map_err(RunError::diffusion(self.name))?;
        Ok(StepLoss { loss: output.loss, figures: output.per_stream })
    }
}

/// Flags of rows as a mask that broadcasts over `[row, ...]`.
fn mask(flags: &[bool], like: &Tensor) -> Result<Tensor> {
    let mut shape = vec![1; like.dim()];
    shape[0] = flags.len() as i64;
    Ok(Tensor::from_slice(flags).f_view(shape.as_slice())?.f_to_device(like.device())?)
}
