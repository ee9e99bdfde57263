//! A session: the codecs, modules and denoisers of a model, with its weights.

use std::path::Path;

use anyflow_config::Auxiliary;
use anyflow_diffusion::{BuildOptions, Denoiser, Schedule, StreamKind, StreamSpec};
use anyflow_plan::plan::{Checkpoint, DenoiserConfig, Model, WeightsPart};
use indexmap::{IndexMap, IndexSet};
use tch::Device;

use crate::checkpoint::{self, Tensors, Weights};
use crate::identity::Loaded;
use crate::plugin::{Codec, LoadedPlugins};
use crate::stream::StreamNet;
use crate::{Result, RunError};

/// The seed of prompt `i` is the model's seed plus this plus `i`; stream `i` has the model's seed plus `i`.
const PROMPT_SEEDS: u64 = 500;

/// Most missing weights that a message names.
const SHOWN: usize = 6;

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
        let mut plugins = LoadedPlugins::default();
        let mut codecs = IndexMap::new();
        let mut streams = IndexMap::new();
        for (i, (name, stream)) in model.streams.iter().enumerate() {
            codecs.insert(name.clone(), Codec::new(&mut plugins, &stream.codec, &stream.array)?);
            let mut net = StreamNet::new(name, stream, &mut plugins, device, seed.wrapping_add(i as u64))?;
            net.is_class =
                model.denoisers.values().any(|denoiser| denoiser.companions.get(name).is_some_and(Auxiliary::is_class));
            streams.insert(name.clone(), net);
        }
        for (i, (name, prompt)) in model.prompts.iter().enumerate() {
            codecs.insert(name.clone(), Codec::new(&mut plugins, &prompt.codec, &prompt.array)?);
            let seed = seed.wrapping_add(PROMPT_SEEDS + i as u64);
            streams.insert(name.clone(), StreamNet::prompt(name, prompt, &mut plugins, device, seed)?);
        }
        let mut denoisers = IndexMap::new();
        for (name, denoiser) in &model.denoisers {
            denoisers.insert(name.clone(), build(name, denoiser, model, device, seed)?);
        }
        Ok(Session { plugins, codecs, streams, denoisers, device, weights: IndexMap::new() })
    }

    /// Makes all parts of `model` with the weights of its checkpoint.
    ///
    /// # Errors
    /// Errors of [`Session::new`]; [`RunError::Checkpoint`] if the file does not fit.
    pub fn load(model: &Model, device: Device) -> Result<Self> {
        let mut session = Session::new(model, device, 0)?;
        match model.checkpoint.as_ref() {
            Some(Checkpoint::File(path)) => session.load_weights(Path::new(path))?,
            Some(Checkpoint::Parts(parts)) => session.load_parts(parts, &model.source)?,
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
        let all = self.tensors()?;
        let statistics = self.streams.values().flat_map(StreamNet::statistics);
        let mut found: IndexSet<String> = statistics.map(|(name, _)| name).collect();
        for (name, part) in parts {
            let Weights { tensors, blake3, .. } = checkpoint::read_part(name, part)?;
            checkpoint::copy_known(&all, &tensors, Path::new(&part.from))?;
            found.extend(tensors.into_keys());
            self.weights.insert(format!("checkpoint {name}"), blake3);
        }
        let missing: Vec<&str> = all.keys().filter(|name| !found.contains(*name)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let shown = missing.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        let text = format!(
            "`checkpoint` names no file for {} of {} weights: {shown}{}; add the part that holds them",
            missing.len(),
            all.len(),
            if missing.len() > SHOWN { ", ..." } else { "" }
        );
        Err(RunError::Checkpoint { path: model.into(), text })
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
        for (name, denoiser) in &self.denoisers {
            let named = denoiser.parameters().into_iter();
            tensors.extend(named.map(|(parameter, tensor)| (format!("denoisers.{name}.{parameter}"), tensor)));
        }
        Ok(tensors)
    }
}

/// Builds a denoiser with fresh parameters.
fn build(name: &str, denoiser: &DenoiserConfig, model: &Model, device: Device, seed: u64) -> Result<Box<dyn Denoiser>> {
    let options = BuildOptions::new(denoiser.precision, device, seed);
    anyflow_diffusion::build(&denoiser.network, &streams(denoiser, model), &options).map_err(RunError::diffusion(name))
}

/// The streams of a denoiser: diffused streams, auxiliary streams, prompts.
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
    let prompts = denoiser.prompts.iter().map(|name| spec(name, &model.prompts[name].tokens, StreamKind::Prompt));
    diffused.chain(auxiliary).chain(prompts).collect()
}
