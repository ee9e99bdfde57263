//! Latents of frozen encoders.

use tch::Tensor;

use super::Trainee;
use super::cache::LatentCache;
use crate::latents::Latents;
use crate::table::{TableData, Tuples};
use crate::{Result, RunError};

/// A trained model with the rows of a stage.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The model.
    pub trainee: &'a Trainee,
    /// The stage's table.
    pub data: &'a TableData,
}

/// The latents of all rows of a stream, or the tokens of a prompt.
pub enum Frozen {
    /// The output of its module.
    Encoded(Latents),
    /// The stream has no module, so its arrays are its latents.
    Arrays,
}

impl<'a> Setting<'a> {
    /// Encodes all rows of a stream with its module, or reads them from the cache.
    ///
    /// # Errors
    /// Errors of plugins; the disk.
    pub fn frozen(&self, stream: &str, cache: &LatentCache<'_>) -> Result<Frozen> {
        match cache.module(stream) {
            Some(module) => {
                let net = &self.trainee.session.streams[stream];
                Ok(Frozen::Encoded(cache.latents(net, module, self.array(stream)?)?))
            }
            None => Ok(Frozen::Arrays),
        }
    }

    /// Encodes all rows that have a stream to one tensor `[row, latent]` on the session's device.
    ///
    /// # Errors
    /// Errors of plugins; the disk.
    pub fn encode_all(&self, stream: &str, cache: &LatentCache<'_>) -> Result<Tensor> {
        let here = self.data.missing(stream).map(|missing| {
            let here = missing.iter().zip(0u32..).filter(|(missing, _)| !**missing);
            here.map(|(_, row)| row).collect::<Vec<_>>()
        });
        let all = match (self.frozen(stream, cache)?, here) {
            (Frozen::Encoded(mut latents), Some(here)) => latents.gather(&here)?,
            (Frozen::Encoded(mut latents), None) => latents.gather(&(0..latents.rows() as u32).collect::<Vec<_>>())?,
            (Frozen::Arrays, Some(here)) => {
                let here: Vec<i64> = here.into_iter().map(i64::from).collect();
                self.array(stream)?.f_index_select(0, &Tensor::from_slice(&here))?
            }
            (Frozen::Arrays, None) => self.array(stream)?.shallow_clone(),
        };
        Ok(all.f_to_device(self.trainee.session.device)?)
    }

    /// Which of these tuples lack a stream; `None` if every row of the table has it.
    pub fn missing(&self, stream: &str, tuples: &Tuples) -> Option<Vec<bool>> {
        let missing = self.data.missing(stream)?;
        Some(self.data.rows_of(stream, tuples).into_iter().map(|row| missing[row as usize]).collect())
    }

    /// All rows of a stream: `[row, axes]`, in host memory.
    ///
    /// # Errors
    /// The table does not have the stream, which planning excludes.
    pub fn array(&self, stream: &str) -> Result<&'a Tensor> {
        self.data.array(stream).ok_or_else(|| RunError::Internal(format!("the stage's table has no stream {stream}")))
    }

    /// The rows of a stream in these tuples: `[row, axes]`, in host memory.
    ///
    /// # Errors
    /// The table does not have the stream, which planning excludes.
    pub fn rows(&self, stream: &str, tuples: &Tuples) -> Result<Tensor> {
        self.data.select(stream, self.array(stream)?, tuples)
    }
}
