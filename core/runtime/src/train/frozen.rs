//! Latents of frozen encoders.

use tch::Tensor;

use super::Trainee;
use super::cache::LatentCache;
use crate::mapped::MappedColumn;
use crate::table::{TableData, Tuples};
use crate::{Result, RunError};

/// A trained model with the rows of a stage.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The model.
    pub trainee: &'a Trainee,
    /// The stage's table.
    pub data: &'a TableData<MappedColumn>,
}

/// The latents of all rows of a stream, or the tokens of a prompt.
pub enum Frozen {
    /// The output of its module.
    Encoded(MappedColumn),
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

    /// The latents of all rows of a stream.
    ///
    /// # Errors
    /// Errors of [`Setting::frozen`] and [`Setting::array`].
    pub fn latents(&self, frozen: &'a Frozen, stream: &str) -> Result<&'a MappedColumn> {
        match frozen {
            Frozen::Encoded(latents) => Ok(latents),
            Frozen::Arrays => self.array(stream),
        }
    }

    /// The rows of a stream's source that have the stream.
    ///
    /// # Errors
    /// See [`Setting::array`].
    pub fn here(&self, stream: &str) -> Result<Vec<u32>> {
        let all = 0..self.array(stream)?.rows() as u32;
        Ok(match self.data.missing(stream) {
            Some(missing) => all.filter(|row| !missing[*row as usize]).collect(),
            None => all.collect(),
        })
    }

    /// Which of these tuples lack a stream; `None` if every row of the table has it.
    pub fn missing(&self, stream: &str, tuples: &Tuples) -> Option<Vec<bool>> {
        let missing = self.data.missing(stream)?;
        Some(self.data.rows_of(stream, tuples).into_iter().map(|row| missing[row as usize]).collect())
    }

    /// All rows of a stream.
    ///
    /// # Errors
    /// The table does not have the stream, which planning excludes.
    pub fn array(&self, stream: &str) -> Result<&'a MappedColumn> {
        self.data.array(stream).ok_or_else(|| RunError::Internal(format!("the stage's table has no stream {stream}")))
    }

    /// The rows of a stream in these tuples: `[row, axes]`, in host memory. The next call overwrites them.
    ///
    /// # Errors
    /// The table does not have the stream, which planning excludes.
    pub fn rows(&self, stream: &str, tuples: &Tuples) -> Result<Tensor> {
        self.array(stream)?.gather(&self.data.rows_of(stream, tuples))
    }
}
