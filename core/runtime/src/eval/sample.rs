//! Runs the tasks of an evaluation on the engine.

use anyflow_diffusion::{Observed, Request, Sampling};
use anyflow_plan::plan::{Scoring, Task};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use super::judging::CHUNK;
use crate::from_plan::{branches, observed};
use crate::networks::Networks;
use crate::plugin::Codec;
use crate::scoring::{ClassEmbeddings, PredictX0, Predicted};
use crate::{Result, RunError, Session};

/// `[row, axes]` by stream.
pub type Arrays = IndexMap<String, Tensor>;

/// A model with a sampler.
pub struct TaskSampler {
    networks: Networks,
    denoiser: String,
    sampler: Sampling,
}

/// The inputs of a task for one seed.
pub struct Inputs {
    /// Arrays of observed streams and of prompts.
    pub conditions: Arrays,
    /// Arrays from which generated streams start, partly noised (SDEdit).
    pub init: Arrays,
    /// Number of rows.
    pub rows: u64,
    /// Seed of the noise.
    pub seed: u64,
}

impl TaskSampler {
    /// Starts the compute thread with the networks of a session.
    ///
    /// # Errors
    /// The engine's error.
    pub fn start(session: Session, denoiser: &str, sampler: &Sampling, device: Device) -> Result<Self> {
        let Session { streams, denoisers, .. } = session;
        let networks = Networks::start(streams, denoisers, device)?;
        Ok(TaskSampler { networks, denoiser: denoiser.into(), sampler: sampler.clone() })
    }

    /// Number of network evaluations so far, summed over rows.
    pub fn network_calls(&self) -> u64 {
        self.networks.stats().row_steps
    }

    /// Predicts the x0 of a scoring's stream from the observed streams: `[row, ...]`.
    ///
    /// # Errors
    /// Errors of plugins and engine; a row that is not finite.
    pub fn predict(&self, name: &str, task: &Task, scoring: &Scoring, inputs: &Inputs) -> Result<Tensor> {
        let mut latents = IndexMap::new();
        for (stream, array) in &inputs.conditions {
            latents.insert(stream.clone(), self.denoiser_input(name, stream, array)?);
        }
        let predict = PredictX0 {
            node: name,
            denoiser: &self.denoiser,
            scoring,
            absent: &task.absent,
            sampler: self.sampler.clone(),
            seed: inputs.seed,
        };
        let keys: Vec<u64> = (0..inputs.rows).collect();
        let Predicted { mean, failed } = predict.run(&self.networks, &latents, &keys)?;
        match failed.first() {
            Some((row, text)) => Err(RunError::Data(format!("task {name}, row {row}: {text}"))),
            None => Ok(mean),
        }
    }

    /// Encodes arrays to the denoiser's input.
    ///
    /// # Errors
    /// Errors of plugins.
    pub fn denoiser_input(&self, name: &str, stream: &str, array: &Tensor) -> Result<Tensor> {
        let array = array.f_to_device(self.networks.device)?;
        self.networks.on_stream(name, stream, move |net| net.denoiser_input(&array))
    }

    /// Embeds the classes of a scoring.
    ///
    /// # Errors
    /// Errors of plugins.
    pub fn class_embeddings(&self, name: &str, scoring: &Scoring, codec: &Codec) -> Result<ClassEmbeddings> {
        ClassEmbeddings::of_classes(name, scoring, codec, &self.networks)
    }

    /// Generates the streams of a task: arrays `[row, axes]`.
    ///
    /// # Errors
    /// Errors of plugins and engine.
    pub fn generate(&self, name: &str, task: &Task, inputs: &Inputs) -> Result<Arrays> {
        let engine = self.networks.engine();
        let mut states = IndexMap::new();
        for stream in engine.streams(&self.denoiser).map_err(RunError::diffusion(name))? {
            let state = self.state(name, task, inputs, &stream.name)?;
            states.insert(stream.name.clone(), state);
        }
        let request = Request {
            denoiser: self.denoiser.clone(),
            rows: (0..inputs.rows).collect(),
            guidance: branches(task.guidance.as_ref(), &states),
            states,
            sampler: self.sampler.clone(),
            seed: inputs.seed,
            outputs: task.generate.clone(),
        };
        let sampled = engine.submit(request).and_then(|ticket| ticket.wait()).map_err(RunError::diffusion(name))?;
        let mut arrays = Arrays::new();
        for (stream, latent) in sampled.streams {
            let decode = move |net: &crate::StreamNet| net.decode(&net.denormalize(&latent)?, false);
            let array = self.networks.on_stream(name, &stream, decode)?;
            arrays.insert(stream, array);
        }
        Ok(arrays)
    }

    /// The role of a stream in a task.
    fn state(&self, name: &str, task: &Task, inputs: &Inputs, stream: &str) -> Result<Observed> {
        if let Some(array) = inputs.conditions.get(stream) {
            let latent = self.denoiser_input(name, stream, array)?;
            return Ok(match task.condition.get(stream) {
                Some(weight) => Observed::Prompt { value: latent, weight: *weight },
                None => observed(task.given, latent),
            });
        }
        if task.absent.iter().any(|absent| absent == stream) || self.networks.is_prompt(stream) {
            return Ok(Observed::Absent);
        }
        match inputs.init.get(stream) {
            Some(array) => Ok(Observed::Init(self.denoiser_input(name, stream, array)?)),
            None => Ok(Observed::Noisy),
        }
    }

    /// Generates each stream of a task by itself, from the same noise; the other streams are absent.
    ///
    /// # Errors
    /// Errors of plugins and engine.
    pub fn independent(&self, name: &str, task: &Task, inputs: &Inputs) -> Result<Arrays> {
        let mut arrays = Arrays::new();
        for stream in &task.generate {
            let others = task.generate.iter().chain(&task.marginalize).filter(|other| *other != stream);
            let absent = task.absent.iter().chain(others).cloned().collect();
            let alone = Task { generate: vec![stream.clone()], marginalize: Vec::new(), absent, ..task.clone() };
            arrays.extend(self.generate(name, &alone, inputs)?);
        }
        Ok(arrays)
    }

    /// Encodes arrays to the tokens of a prompt: `[row, token, feature]`.
    ///
    /// # Errors
    /// Errors of plugins and engine.
    pub fn embed(&self, name: &str, prompt: &str, array: &Tensor) -> Result<Tensor> {
        let mut parts = Vec::new();
        for part in array.f_split(CHUNK, 0)? {
            parts.push(self.denoiser_input(name, prompt, &part)?);
        }
        Ok(Tensor::f_cat(&parts, 0)?)
    }
}
