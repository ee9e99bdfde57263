//! Runs the tasks of an evaluation on the engine.

use anyflow_plan::plan::{Diffusion, JoinedVector, Model, PromptConfig, Scoring, Variant};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use super::judging::CHUNK;
use crate::networks::Networks;
use crate::plugin::Codec;
use crate::request::{NodeDiffusion, RoleValues};
use crate::scoring::{ClassEmbeddings, PredictX0, Predicted};
use crate::values::joined;
use crate::{Result, RunError, Session};

/// `[row, axes]` by stream, or by the [array](Model::arrays) of a stream or prompt.
pub type Arrays = IndexMap<String, Tensor>;

/// The networks of a variant.
pub struct TaskSampler<'a> {
    /// The variant.
    pub variant: &'a Variant,
    /// Its model.
    model: &'a Model,
    networks: Networks,
}

/// The inputs of a task for one seed.
pub struct Inputs {
    /// Arrays of the streams and prompts of the data that the task reads, and of its planes.
    pub arrays: Arrays,
    /// Number of rows.
    pub rows: u64,
}

impl Inputs {
    fn keys(&self) -> Vec<u64> {
        (0..self.rows).collect()
    }
}

/// The values of a task.
struct TaskValues<'a> {
    name: &'a str,
    denoiser: &'a str,
    sampler: &'a TaskSampler<'a>,
    arrays: &'a Arrays,
}

impl TaskValues<'_> {
    fn array(&self, from: &str) -> Result<&Tensor> {
        let missing = || RunError::Internal(format!("task {} has no array {from}", self.name));
        self.arrays.get(from).ok_or_else(missing)
    }

    /// The vector of the time that the denoiser has under this name.
    fn vector(&self, name: &str) -> Option<&JoinedVector> {
        self.sampler.model.denoisers.get(self.denoiser)?.vectors.as_ref()?.from.get(name)
    }

    /// The vector of a prompt, made of the cells of `from`: `[row, feature]`. Numbers are their own.
    fn pooled(&self, vector: &JoinedVector, from: &str) -> Result<Tensor> {
        let array = self.array(&self.sampler.model.array_of(from, &vector.prompt))?;
        let array = array.f_to_device(self.sampler.networks.device)?;
        if vector.is_numbers {
            return Ok(array);
        }
        self.sampler.networks.on_stream(self.name, &vector.prompt, move |net| net.pool(&array, false))
    }

    /// The input of the denoiser that the module of a stream or prompt makes of the cells of `from`.
    fn encoded(&self, part: &str, from: &str) -> Result<Tensor> {
        self.sampler.denoiser_input(self.name, part, self.array(&self.sampler.model.array_of(from, part))?)
    }
}

impl RoleValues for TaskValues<'_> {
    fn value(&self, stream: &str, from: &str) -> Result<Tensor> {
        if let Some(vector) = self.vector(stream) {
            return self.pooled(vector, from);
        }
        match self.sampler.model.prompts.get(stream) {
            Some(PromptConfig::Joined(prompt)) => {
                let parts = prompt.features.iter().map(|part| self.encoded(part, from));
                joined(&parts.collect::<Result<Vec<_>>>()?)
            }
            _ => self.encoded(stream, from),
        }
    }

    fn mask(&self, from: &str) -> Result<Tensor> {
        let networks = &self.sampler.networks;
        let array = self.array(from)?.f_to_device(networks.device)?;
        networks.on_stream(self.name, from, move |net| net.encode(&array, false))
    }
}

impl<'a> TaskSampler<'a> {
    /// Starts the compute thread with the networks of a session.
    ///
    /// # Errors
    /// The engine's error.
    pub fn start(session: Session, variant: &'a Variant, model: &'a Model, device: Device) -> Result<Self> {
        let Session { streams, denoisers, .. } = session;
        Ok(TaskSampler { variant, model, networks: Networks::start(streams, denoisers, device)? })
    }

    /// Number of network evaluations so far, summed over rows.
    pub fn network_calls(&self) -> u64 {
        self.networks.stats().row_steps
    }

    fn values<'s>(&'s self, name: &'s str, diffusion: &'s Diffusion, inputs: &'s Inputs) -> TaskValues<'s> {
        TaskValues { name, denoiser: &diffusion.denoiser, sampler: self, arrays: &inputs.arrays }
    }

    /// Predicts the x0 of a scoring's stream from the observed streams: `[row, ...]`.
    ///
    /// # Errors
    /// Errors of plugins and engine; a row that is not finite.
    pub fn predict(&self, name: &str, diffusion: &Diffusion, scoring: &Scoring, inputs: &Inputs) -> Result<Tensor> {
        let sampler = NodeDiffusion { node: name, diffusion, networks: &self.networks };
        let states = sampler.states(&self.values(name, diffusion, inputs))?;
        let Predicted { mean, failed } = PredictX0 { sampler, scoring }.run(&states, &inputs.keys())?;
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
        ClassEmbeddings::of_stream(name, scoring, codec, &self.networks)
    }

    /// Generates the outputs of a task: arrays `[row, axes]`.
    ///
    /// # Errors
    /// Errors of plugins and engine.
    pub fn generate(&self, name: &str, diffusion: &Diffusion, inputs: &Inputs) -> Result<Arrays> {
        let sampler = NodeDiffusion { node: name, diffusion, networks: &self.networks };
        let states = sampler.states(&self.values(name, diffusion, inputs))?;
        let sampled = sampler.sample(sampler.request(states, inputs.keys()))?;
        let mut arrays = Arrays::new();
        for (stream, latent) in sampled.streams {
            let decode = move |net: &crate::StreamNet| net.decode(&net.denormalize(&latent)?, false);
            let array = self.networks.on_stream(name, &stream, decode)?;
            arrays.insert(stream, array);
        }
        Ok(arrays)
    }

    /// Generates each output of a task by itself, from the same noise; the other streams are absent.
    ///
    /// # Errors
    /// Errors of plugins and engine.
    pub fn independent(&self, name: &str, diffusion: &Diffusion, inputs: &Inputs) -> Result<Arrays> {
        let mut arrays = Arrays::new();
        for stream in diffusion.streams.outputs() {
            let alone = Diffusion { streams: diffusion.streams.alone(stream), ..diffusion.clone() };
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
