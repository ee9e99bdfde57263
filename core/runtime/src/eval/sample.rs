//! Generation for a task, on the engine.

use anyflow_diffusion::{Observed, Request};
use anyflow_plan::plan::{Scoring, Task};
use indexmap::IndexMap;
use serde_json::Value;
use tch::{Device, Tensor};

use super::judging::CHUNK;
use crate::networks::Networks;
use crate::plugin::Codec;
use crate::scoring::{Bank, Recovery};
use crate::{Result, RunError, Session, session};

/// `[row, axes]` by stream.
pub type Arrays = IndexMap<String, Tensor>;

/// A model that answers tasks.
pub struct Sampling {
    networks: Networks,
    denoiser: String,
    sampler: anyflow_diffusion::Sampling,
}

impl Sampling {
    /// Starts the compute thread with the session's networks.
    ///
    /// # Errors
    /// What the engine says.
    pub fn start(session: Session, denoiser: &str, sampler: &Value, device: Device) -> Result<Self> {
        let Session { streams, denoisers, .. } = session;
        let networks = Networks::start(streams, denoisers, device)?;
        Ok(Sampling { networks, denoiser: denoiser.into(), sampler: session::typed(sampler)? })
    }

    /// Rows that went through the network so far, each as often as it did.
    pub fn network_calls(&self) -> u64 {
        self.networks.stats().row_steps
    }

    /// What a scoring recovers for a task: `[row, ...]`, from the arrays that it observes.
    ///
    /// # Errors
    /// What plugins and engine say; a row that is not finite.
    pub fn recover(
        &self,
        name: &str,
        (task, scoring): (&Task, &Scoring),
        given: Arrays,
        rows: u64,
        seed: u64,
    ) -> Result<Tensor> {
        let seen = given.into_iter().map(|(stream, array)| {
            let seen = self.seen(name, &stream, &array)?;
            Ok((stream, seen))
        });
        let (absent, sampler) = (task.absent.as_slice(), self.sampler.clone());
        let recovery = Recovery { node: name, denoiser: &self.denoiser, scoring, absent, sampler, seed };
        let keys: Vec<u64> = (0..rows).collect();
        let (recovered, failed) = recovery.run(&self.networks, &seen.collect::<Result<_>>()?, &keys)?;
        match failed.first() {
            Some((row, text)) => Err(RunError::Data(format!("task {name}, row {row}: {text}"))),
            None => Ok(recovered),
        }
    }

    /// What the denoiser sees of arrays of a stream.
    ///
    /// # Errors
    /// What plugins say.
    pub fn seen(&self, name: &str, stream: &str, array: &Tensor) -> Result<Tensor> {
        let array = array.f_to_device(self.networks.device)?;
        self.networks.on_stream(name, stream, move |net| net.seen(&array))
    }

    /// What stands for the classes of a scoring.
    ///
    /// # Errors
    /// What plugins say.
    pub fn bank(&self, name: &str, scoring: &Scoring, codec: &Codec) -> Result<Bank> {
        Bank::of_classes(name, scoring, codec, &self.networks)
    }

    /// Arrays `[row, axes]` of the streams that a task generates, from the arrays that it observes or is conditioned on,
    /// and those that it begins from; for so many rows, with this seed.
    ///
    /// # Errors
    /// What plugins and engine say.
    pub fn generate(
        &self,
        name: &str,
        task: &Task,
        (given, begun): (&Arrays, &Arrays),
        (rows, seed): (u64, u64),
    ) -> Result<Arrays> {
        let engine = self.networks.engine();
        let mut states = IndexMap::new();
        for stream in engine.streams(&self.denoiser).map_err(RunError::diffusion(name))? {
            let state = match given.get(&stream.name) {
                Some(array) => {
                    let seen = self.seen(name, &stream.name, array)?;
                    match task.condition.get(&stream.name) {
                        Some(weight) => Observed::Prompt { value: seen, weight: *weight },
                        None => session::given(task.given, seen),
                    }
                }
                None if task.absent.contains(&stream.name) => Observed::Absent,
                None if self.networks.is_prompt(&stream.name) => Observed::Absent,
                None => match begun.get(&stream.name) {
                    Some(array) => Observed::Init(self.seen(name, &stream.name, array)?),
                    None => Observed::Noisy,
                },
            };
            states.insert(stream.name.clone(), state);
        }
        let request = Request {
            denoiser: self.denoiser.clone(),
            rows: (0..rows).collect(),
            guidance: session::branches(task.guidance.as_ref(), &states)?,
            states,
            sampler: self.sampler.clone(),
            seed,
            outputs: task.generate.clone(),
        };
        let sampled = engine.submit(request).and_then(|t| t.wait()).map_err(RunError::diffusion(name))?;
        let decode = |(stream, latent): (String, Tensor)| {
            let array = self.networks.on_stream(name, &stream, move |net| net.decode(&net.restore(&latent)?, false))?;
            Ok((stream, array))
        };
        sampled.streams.into_iter().map(decode).collect()
    }

    /// The same, each stream by itself: the others are absent, and the noise is that which it has among them.
    ///
    /// # Errors
    /// What plugins and engine say.
    pub fn independent(
        &self,
        name: &str,
        task: &Task,
        inputs: (&Arrays, &Arrays),
        of_rows: (u64, u64),
    ) -> Result<Arrays> {
        let alone = |stream: &String| {
            let others = task.generate.iter().chain(&task.along).filter(|other| *other != stream);
            let absent = task.absent.iter().chain(others).cloned().collect();
            let alone = Task { generate: vec![stream.clone()], along: Vec::new(), absent, ..task.clone() };
            self.generate(name, &alone, inputs, of_rows)
        };
        Ok(task.generate.iter().map(alone).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// What a prompt makes of arrays: `[row, token, feature]`.
    ///
    /// # Errors
    /// What plugins and engine say.
    pub fn embed(&self, name: &str, prompt: &str, array: &Tensor) -> Result<Tensor> {
        let parts = array.f_split(CHUNK, 0)?.into_iter().map(|part| {
            let part = part.f_to_device(self.networks.device)?;
            self.networks.on_stream(name, prompt, move |net| net.seen(&part))
        });
        Ok(Tensor::f_cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
    }
}
