//! A session: the codecs, modules and denoisers of a model, with its weights.

use std::path::Path;

use anyflow_config::{Auxiliary, Precision};
use anyflow_diffusion::{BuildOptions, Denoiser, PromptUse, Schedule, StartValues, StreamKind, StreamSpec};
use anyflow_plan::plan::{Checkpoint, DenoiserConfig, Model, PairConfig, WeightsPart};
use anyflow_weights::ExpectedTensor;
use indexmap::IndexMap;
use tch::{Device, Kind, Tensor};

use crate::checkpoint::{self, Tensors, Weights};
use crate::identity::Loaded;
use crate::plugin::{Codec, LoadedPlugins, ModuleOptions};
use crate::published;
use crate::stream::StreamNet;
use crate::{Result, RunError};

/// The seed of prompt `i` is the model's seed plus this plus `i`; stream `i` has the model's seed plus `i`.
const PROMPT_SEEDS: u64 = 500;

/// Logarithm of the factor of a scorer before training, 1 / 0.07 as in CLIP (Radford et al. 2021).
const LOG_SCALE: f64 = 2.659_26;
const F32: (Kind, Device) = (Kind::Float, Device::Cpu);

/// The instances of a model.
pub struct Session {
    /// Loaded plugin libraries.
    pub plugins: LoadedPlugins,
    /// Codec of each stream and prompt.
    pub codecs: IndexMap<String, Codec>,
    /// Network and statistics of each stream; network of each prompt.
    pub streams: IndexMap<String, StreamNet>,
    /// The denoisers.
    pub denoisers: IndexMap<String, Box<dyn Denoiser>>,
    /// Scorers with a learned factor: its natural logarithm, f32 without axes.
    pub scales: IndexMap<String, Tensor>,
    /// The device of all tensors.
    pub device: Device,
    /// Hashes of the loaded weights files, by their purpose.
    pub weights: IndexMap<String, String>,
}

impl Session {
    /// Makes all parts of `model` with fresh weights, which follow from `seed`.
    ///
    /// # Errors
    /// Errors of plugins and engine.
    pub fn new(model: &Model, device: Device, seed: u64) -> Result<Self> {
        Session::made(model, device, seed, StartValues::Drawn)
    }

    /// Makes all parts of `model` with the names and shapes of their weights, which take no memory.
    ///
    /// # Errors
    /// Errors of plugins and engine.
    pub fn dry(model: &Model) -> Result<Self> {
        Session::made(model, Device::Cpu, 0, StartValues::Shared)
    }

    fn made(model: &Model, device: Device, seed: u64, start: StartValues) -> Result<Self> {
        let mut plugins = LoadedPlugins::default();
        let mut codecs = IndexMap::new();
        let mut streams = IndexMap::new();
        let is_dry = start != StartValues::Drawn;
        let options = |seed| ModuleOptions { device, seed, is_dry };
        for (i, (name, stream)) in model.streams.iter().enumerate() {
            codecs.insert(name.clone(), Codec::new(&mut plugins, &stream.codec, &stream.array)?);
            let mut net = StreamNet::new(name, stream, &mut plugins, options(seed.wrapping_add(i as u64)))?;
            net.is_class =
                model.denoisers.values().any(|denoiser| denoiser.companions.get(name).is_some_and(Auxiliary::is_class));
            streams.insert(name.clone(), net);
        }
        for (i, (name, prompt)) in model.prompts.iter().enumerate() {
            let Some(prompt) = prompt.encoded() else { continue };
            codecs.insert(name.clone(), Codec::new(&mut plugins, &prompt.codec, &prompt.array)?);
            let seed = seed.wrapping_add(PROMPT_SEEDS + i as u64);
            streams.insert(name.clone(), StreamNet::prompt(name, prompt, &mut plugins, options(seed))?);
        }
        let mut denoisers = IndexMap::new();
        for (name, denoiser) in &model.denoisers {
            denoisers.insert(
                name.clone(),
                build(
                    name,
                    denoiser,
                    model,
                    BuildOptions {
                        start,
                        ..BuildOptions::new(computed(name, denoiser.precision, device), device, seed)
                    },
                )?,
            );
        }
        let learned = model.scorers.iter().filter(|(_, scorer)| scorer.scale.is_none());
        let scales = learned.map(|(name, _)| Ok((name.clone(), Tensor::f_full([0i64; 0], LOG_SCALE, F32)?)));
        let scales = scales.collect::<Result<_>>()?;
        Ok(Session { plugins, codecs, streams, denoisers, scales, device, weights: IndexMap::new() })
    }

    /// Makes all parts of `model` with the weights of its checkpoint.
    ///
    /// # Errors
    /// Errors of [`Session::new`]; [`RunError::Checkpoint`] if the file does not fit.
    pub fn load(model: &Model, device: Device) -> Result<Self> {
        let mut session = Session::made(model, device, 0, StartValues::Zero)?;
        match model.checkpoint.as_ref() {
            Some(Checkpoint::File(path)) => session.load_weights(Path::new(path))?,
            Some(Checkpoint::Parts(parts)) => session.load_parts(parts, &model.source)?,
            None if !model.has_networks() => {}
            None => {
                let text =
                    "the model file has no `checkpoint`; train the model, then name the file that the training wrote";
                return Err(RunError::Checkpoint { path: model.source.clone(), text: text.into() });
            }
        }
        session.set_absent_prompts(model)?;
        Ok(session)
    }

    /// Copies the weights of a file into the model.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`] if the file does not fit.
    pub fn load_weights(&mut self, path: &Path) -> Result<()> {
        let Weights { tensors, blake3, .. } = checkpoint::read(path)?;
        checkpoint::copy_into(&self.tensors()?, &tensors, path)?;
        self.weights.insert("checkpoint".into(), blake3);
        Ok(())
    }

    /// Copies published weights into the model, part by part. They say nothing about the statistics of a latent, which
    /// stay mean 0 and standard deviation 1.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`] if a file does not fit its part, or if no part has a weight of the model.
    fn load_parts(&mut self, parts: &IndexMap<String, WeightsPart>, model: &str) -> Result<()> {
        let hashes = published::load(&self.tensors()?, &self.wanted()?, parts, model)?;
        self.weights.extend(hashes.into_iter().map(|(name, hash)| (format!("checkpoint {name}"), hash)));
        Ok(())
    }

    /// The weights that published files must hold: all but the statistics of latents.
    ///
    /// # Errors
    /// Errors of plugins.
    pub fn wanted(&self) -> Result<Vec<ExpectedTensor>> {
        let statistics: Tensors = self.streams.values().flat_map(StreamNet::statistics).collect();
        let wanted = |(name, tensor): (String, Tensor)| ExpectedTensor {
            is_optional: statistics.contains_key(&name),
            shape: tensor.size().iter().map(|size| *size as usize).collect(),
            name,
        };
        Ok(self.tensors()?.into_iter().map(wanted).collect())
    }

    /// The factor of each scorer that compares two prompts.
    ///
    /// # Errors
    /// A libtorch call failed.
    pub fn factors(&self, model: &Model) -> Result<IndexMap<String, f64>> {
        let factor = |(name, scorer): (&String, &PairConfig)| match (scorer.scale, self.scales.get(name)) {
            (None, Some(scale)) => Ok((name.clone(), scale.f_double_value(&[])?.exp())),
            (scale, _) => Ok((name.clone(), scale.unwrap_or(1.0))),
        };
        model.scorers.iter().map(factor).collect()
    }

    /// Hashes of all loaded files.
    pub fn loaded(&self) -> Loaded {
        Loaded { plugins: self.plugins.hashes(), weights: self.weights.clone() }
    }

    /// All tensors of the model's checkpoint, sharing memory.
    ///
    /// # Errors
    /// Errors of plugins.
    pub fn tensors(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        for stream in self.streams.values() {
            tensors.extend(stream.tensors()?);
        }
        let scales = self.scales.iter();
        tensors.extend(scales.map(|(name, scale)| (format!("scorers.{name}.logit_scale"), scale.shallow_clone())));
        for (name, denoiser) in &self.denoisers {
            let named = denoiser.parameters().into_iter();
            tensors.extend(named.map(|(parameter, tensor)| (format!("denoisers.{name}.{parameter}"), tensor)));
        }
        Ok(tensors)
    }
}

/// The precision in which a device computes. CPUs multiply f16 slowly, if at all; f32 holds every f16 number.
fn computed(denoiser: &str, precision: Precision, device: Device) -> Precision {
    if precision == Precision::F16 && device == Device::Cpu {
        tracing::warn!(denoiser, "a CPU computes f16 in f32; `precision: bf16` takes half the memory");
        return Precision::F32;
    }
    precision
}

/// Builds a denoiser.
fn build(name: &str, denoiser: &DenoiserConfig, model: &Model, options: BuildOptions) -> Result<Box<dyn Denoiser>> {
    anyflow_diffusion::build(&denoiser.network, &streams(denoiser, model), &options).map_err(RunError::diffusion(name))
}

/// The name of a stream as a plane of a denoiser, which may be over the same stream.
pub(crate) fn plane_name(stream: &str) -> String {
    format!("planes.{stream}")
}

/// The streams of a denoiser: diffused streams, auxiliary streams, prompts, vectors, planes.
fn streams(denoiser: &DenoiserConfig, model: &Model) -> Vec<StreamSpec> {
    let schedule = Schedule::new(denoiser.schedule.clone());
    let spec = |name: &String, shape: &[i64], kind| StreamSpec {
        name: name.clone(),
        shape: shape.to_vec(),
        schedule: schedule.clone(),
        parameterization: denoiser.predict,
        kind,
    };
    let diffused = denoiser.over.iter().map(|name| {
        let stream = &model.streams[name];
        let own_schedule = stream.schedule.clone().map(Schedule::new);
        let shared = spec(name, &stream.latent, StreamKind::Diffused);
        StreamSpec { schedule: own_schedule.unwrap_or(shared.schedule), ..shared }
    });
    let auxiliary = denoiser
        .companions
        .iter()
        .map(|(name, auxiliary)| spec(name, &model.streams[name].latent, StreamKind::Auxiliary(auxiliary.clone())));
    let prompts = denoiser.prompts.iter().filter_map(|name| Some((name, model.prompts[name].tokens()?)));
    let prompts = prompts.map(|(name, tokens)| spec(name, &tokens, StreamKind::Prompt(PromptUse::Tokens)));
    let vectors = denoiser.vectors.iter().flat_map(|vectors| {
        vectors.from.iter().map(|(name, vector)| {
            let waves = vector.is_numbers.then_some(vectors.waves);
            spec(name, &[vector.size], StreamKind::Prompt(PromptUse::Vector { waves }))
        })
    });
    let planes = denoiser.planes.iter().map(|name| {
        let plane = spec(name, &model.streams[name].latent, StreamKind::Prompt(PromptUse::Plane));
        StreamSpec { name: plane_name(name), ..plane }
    });
    diffused.chain(auxiliary).chain(prompts).chain(vectors).chain(planes).collect()
}
