//! Prompts without tokens: vectors are added to the embedding of the time, planes are concatenated to the channels.

use indexmap::IndexMap;
use tch::{Device, Tensor};

use super::super::sinusoidal::Waves;
use super::super::streams::present_values;
use crate::{DenoiserInput, PromptUse, Result, StreamSpec, TensorExt};

/// The prompts that are vectors, in the order of the streams.
pub(super) struct Vectors(IndexMap<String, VectorPrompt>);

/// A prompt that is a vector.
struct VectorPrompt {
    /// Its index among the streams.
    index: usize,
    waves: Option<Waves>,
    /// What stands for it in rows without it: `[number]`; `None` for zeros.
    absent: Option<Tensor>,
}

impl Vectors {
    pub fn new(streams: &[StreamSpec], device: Device) -> Result<Self> {
        let mut vectors = IndexMap::new();
        for (index, stream) in streams.iter().enumerate() {
            let Some(PromptUse::Vector { waves }) = stream.prompt() else { continue };
            let waves = waves.map(|waves| Waves::new(waves / 2, device)).transpose()?;
            vectors.insert(stream.name.clone(), VectorPrompt { index, waves, absent: None });
        }
        Ok(Vectors(vectors))
    }

    /// Sets what stands for a vector in rows without it; false if no vector has this name.
    pub fn set_absent(&mut self, prompt: &str, value: &Tensor) -> bool {
        let Some(vector) = self.0.get_mut(prompt) else { return false };
        vector.absent = Some(value.shallow_clone());
        true
    }

    /// All vectors as they join the embedding of the time, `[row, number]`; `None` without vectors.
    pub fn joined(&self, streams: &[StreamSpec], batch: &DenoiserInput) -> Result<Option<Tensor>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let present = if batch.is_all_present() { None } else { Some(batch.present()?) };
        let parts = self.0.values().map(|vector| {
            let index = vector.index;
            let mut value = present_values(&streams[index], index, &batch.x[index], present.as_ref())?;
            if let (Some(absent), Some(present)) = (&vector.absent, &present) {
                let there = present.try_narrow(1, index as i64, 1)?.try_gt(0.0)?;
                value = value.try_where(&there, absent)?;
            }
            match &vector.waves {
                Some(waves) => waves.forward(&value),
                None => Ok(value),
            }
        });
        Tensor::try_cat(&parts.collect::<Result<Vec<_>>>()?, 1).map(Some)
    }
}

/// The planes with these indices beside each other along the channel axis, absent ones as zeros; `None` without planes.
pub(super) fn planes(indices: &[usize], streams: &[StreamSpec], batch: &DenoiserInput) -> Result<Option<Tensor>> {
    if indices.is_empty() {
        return Ok(None);
    }
    let present = if batch.is_all_present() { None } else { Some(batch.present()?) };
    let plane = |index: &usize| present_values(&streams[*index], *index, &batch.x[*index], present.as_ref());
    let planes = indices.iter().map(plane).collect::<Result<Vec<_>>>()?;
    Tensor::try_cat(&planes, -3).map(Some)
}
