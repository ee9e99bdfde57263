//! Contrastive loss (InfoNCE) between two prompts or streams: embeddings of one row attract, those of different rows repel.

use anyflow_config::objective::Contrast as Options;
use anyflow_diffusion::info_nce;
use indexmap::IndexMap;
use tch::Tensor;

use super::{ACCURACY, BatchPart, Objective, StepBatch, StepKey, StepLoss};
use crate::table::{RowNeeds, Tuples};
use crate::train::cache::LatentCache;
use crate::train::frozen::{Frozen, Setting};
use crate::{Result, RunError};

/// Trains the modules of prompts and streams.
pub struct Contrast<'a> {
    options: &'a Options,
    /// The trained prompts and streams.
    names: &'a [String],
    setting: Setting<'a>,
    /// Tokens of the other side, if it is frozen.
    latents: IndexMap<String, Frozen>,
}

impl<'a> Contrast<'a> {
    /// Encodes the other side of the loss, if it is frozen.
    ///
    /// # Errors
    /// Errors of plugins; the disk.
    pub fn prepare(
        options: &'a Options,
        names: &'a [String],
        setting: Setting<'a>,
        cache: &LatentCache<'_>,
    ) -> Result<Self> {
        let mut latents = IndexMap::new();
        if !names.contains(&options.with) {
            latents.insert(options.with.clone(), setting.frozen(&options.with, cache)?);
        }
        Ok(Contrast { options, names, setting, latents })
    }
}

impl Objective for Contrast<'_> {
    fn unit(&self) -> &'static str {
        "InfoNCE in nats, mean over rows"
    }

    fn needs(&self) -> RowNeeds {
        RowNeeds { all: self.names.iter().chain([&self.options.with]).cloned().collect(), ..RowNeeds::default() }
    }

    /// The array of the trained side, then the array or the tokens of the other side.
    fn gather(&mut self, tuples: &Tuples) -> Result<StepBatch> {
        let with = &self.options.with;
        let mut tensors = Vec::new();
        for name in self.names.iter().filter(|name| *name != with).chain([with]) {
            let rows = match self.latents.get(name) {
                Some(Frozen::Encoded(tokens)) => tokens.gather(&self.setting.data.rows_of(name, tuples))?,
                _ => self.setting.rows(name, tuples)?,
            };
            tensors.push(rows.f_to_device(self.setting.trainee.session.device)?);
        }
        Ok(StepBatch { tensors, ..StepBatch::default() })
    }

    fn loss(&self, part: &BatchPart, _key: StepKey) -> Result<StepLoss> {
        let Options { with, temperature } = self.options;
        let embed = |name: &String, array: &Tensor| self.setting.trainee.session.streams[name].encode(array, true);
        let trained = self.names.iter().find(|name| *name != with).unwrap_or(with);
        let other = &part.tensors[1];
        let other = if self.names.contains(with) { embed(with, other)? } else { other.shallow_clone() };
        let (loss, accuracy) =
            info_nce(&embed(trained, &part.tensors[0])?, &other, *temperature).map_err(RunError::diffusion(trained))?;
        Ok(StepLoss { loss, figures: vec![(ACCURACY.into(), accuracy)] })
    }
}
