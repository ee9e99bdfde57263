//! A session: a model's codecs, modules and denoisers made, and its weights loaded.

use std::path::Path;

use anyflow_datasets::CellColumn;
use anyflow_diffusion::{Branch, BuildOptions, Denoiser, Guidance, Observed, Parameterization, Schedule, StreamSpec};
use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::{Companion, Given, Model, Scorer};
use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use tch::{Device, Tensor};

use crate::checkpoint::{self, Tensors, Weights};
use crate::identity::Loaded;
use crate::plugin::{Codec, Module, Plugins, RowError};
use crate::stream::StreamNet;
use crate::{Result, RunError};

/// A model at work.
pub struct Session {
    /// Loaded plugin libraries.
    pub plugins: Plugins,
    /// Codec of each stream and prompt.
    pub codecs: IndexMap<String, Codec>,
    /// Network and statistics of each stream; the network of each prompt.
    pub streams: IndexMap<String, StreamNet>,
    /// The denoisers.
    pub denoisers: IndexMap<String, Box<dyn Denoiser>>,
    /// Where tensors live.
    pub device: Device,
    /// Hashes of the files that weights were loaded from, by what they are for.
    pub weights: IndexMap<String, String>,
}

impl Session {
    /// Everything of `model`, with fresh weights that follow from `seed`.
    ///
    /// # Errors
    /// What plugins and engine say.
    pub fn new(model: &Model, device: Device, seed: u64) -> Result<Self> {
        let mut plugins = Plugins::default();
        let mut codecs = IndexMap::new();
        let mut streams = IndexMap::new();
        for (i, (name, stream)) in model.streams.iter().enumerate() {
            codecs.insert(name.clone(), Codec::new(&mut plugins, &stream.codec, &stream.array)?);
            let mut net = StreamNet::new(name, stream, &mut plugins, device, seed.wrapping_add(i as u64))?;
            net.is_class =
                model.denoisers.values().any(|denoiser| denoiser.companions.get(name).is_some_and(Companion::is_class));
            streams.insert(name.clone(), net);
        }
        for (i, (name, prompt)) in model.prompts.iter().enumerate() {
            codecs.insert(name.clone(), Codec::new(&mut plugins, &prompt.codec, &prompt.array)?);
            let seed = seed.wrapping_add(PROMPT_SEEDS + i as u64);
            streams.insert(name.clone(), StreamNet::prompt(name, prompt, &mut plugins, device, seed)?);
        }
        let mut denoisers = IndexMap::new();
        for (name, denoiser) in &model.denoisers {
            denoisers.insert(name.clone(), built(name, denoiser, model, device, seed)?);
        }
        Ok(Session { plugins, codecs, streams, denoisers, device, weights: IndexMap::new() })
    }

    /// Everything of `model`, with the weights of its checkpoint.
    ///
    /// # Errors
    /// As [`Session::new`]; [`RunError::Checkpoint`] when the file does not fit.
    pub fn load(model: &Model, device: Device) -> Result<Self> {
        let mut session = Session::new(model, device, 0)?;
        let path = model.checkpoint.as_deref().ok_or_else(|| RunError::Checkpoint {
            path: model.source.clone(),
            text: "the model file names no `checkpoint`; train it, and name the file that training wrote".into(),
        })?;
        session.load_weights(Path::new(path))?;
        Ok(session)
    }

    /// Copies the weights of a file into the model.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`] when the file does not fit.
    pub fn load_weights(&mut self, path: &Path) -> Result<()> {
        let Weights { tensors, blake3, .. } = checkpoint::read(path)?;
        checkpoint::copy_into(&self.tensors()?, &tensors, path)?;
        self.weights.insert("checkpoint".into(), blake3);
        Ok(())
    }

    /// Hashes of everything that was loaded.
    pub fn loaded(&self) -> Loaded {
        Loaded { plugins: self.plugins.hashes(), weights: self.weights.clone() }
    }

    /// Everything that a checkpoint of the model holds, sharing memory.
    ///
    /// # Errors
    /// What plugins say.
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

/// The seeds of prompts begin this far from that of the model, streams having those before.
const PROMPT_SEEDS: u64 = 500;

/// A denoiser with fresh parameters.
fn built(
    name: &str,
    denoiser: &anyflow_plan::plan::Denoiser,
    model: &Model,
    device: Device,
    seed: u64,
) -> Result<Box<dyn Denoiser>> {
    let schedule: Schedule = typed(&denoiser.schedule)?;
    let parameterization: Parameterization = typed(&denoiser.predict.clone().into())?;
    let spec = |stream: &String, shape: &[i64]| StreamSpec {
        name: stream.clone(),
        shape: shape.to_vec(),
        schedule: schedule.clone(),
        parameterization,
    };
    let stream = |name: &String| {
        let (own, plan) = (spec(name, &model.streams[name].latent), &model.streams[name]);
        let schedule = plan.schedule.as_ref().map(typed).transpose()?;
        Ok(StreamSpec { schedule: schedule.unwrap_or(own.schedule), ..own })
    };
    let streams = denoiser.over.iter().map(stream).collect::<Result<Vec<_>>>()?;
    let companion = |(name, companion)| Ok((spec(name, &model.streams[name].latent), typed(&json_of(companion)?)?));
    let companions = denoiser.companions.iter().map(companion).collect::<Result<_>>()?;
    let prompts: Vec<_> = denoiser.prompts.iter().map(|name| spec(name, &model.prompts[name].tokens)).collect();
    let network = typed(&denoiser.network)?;
    let options = BuildOptions { precision: typed(&denoiser.precision.clone().into())?, device, seed };
    let built = anyflow_diffusion::build_joined(&network, &streams, companions, prompts, options);
    built.map_err(RunError::diffusion(name))
}

fn json_of(companion: &Companion) -> Result<serde_json::Value> {
    serde_json::to_value(companion).map_err(|e| RunError::Internal(e.to_string()))
}

/// Cells -> array `[row, axes]` in host memory, and the rows that are null, unreadable or refused.
///
/// # Errors
/// The codec failed as a whole.
pub fn read_cells(codec: &Codec, cells: &CellColumn, threads: usize) -> Result<(Tensor, Vec<RowError>)> {
    let mut unreadable = Vec::new();
    let mut views = Vec::with_capacity(cells.len());
    for row in 0..cells.len() {
        views.push(cells.get(row).unwrap_or_else(|error| {
            unreadable.push(RowError { row, text: error.to_string() });
            None
        }));
    }
    let (array, mut failed) = codec.encode(&views, threads)?;
    failed.retain(|refused| unreadable.iter().all(|known| known.row != refused.row));
    failed.extend(unreadable);
    Ok((array, failed))
}

/// A scorer at work: `[row, array]` -> class per row.
pub struct Judge {
    /// The stream it judges.
    pub stream: String,
    /// Number of classes.
    pub classes: i64,
    /// The network; without one the array itself is the scores.
    pub module: Option<Module>,
    /// Axes of the features that it gives beside the scores, if it does.
    features: Option<Vec<i64>>,
    /// Axes of the numbers by which rows are compared, if it gives such.
    perceptual: Option<Vec<i64>>,
}

impl Judge {
    /// A scorer with fresh weights.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn new(scorer: &Scorer, plugins: &mut Plugins, device: Device, seed: u64) -> Result<Self> {
        let module = scorer.module.as_ref().map(|module| Module::new(plugins, module, device, seed)).transpose()?;
        let (features, perceptual) = (scorer.features.clone(), scorer.perceptual.clone());
        Ok(Judge { stream: scorer.stream.clone(), classes: scorer.classes, module, features, perceptual })
    }

    /// Loads the weights that a file holds for the scorer `name`.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`] when the file does not fit.
    pub fn load_weights(&self, name: &str, path: &Path) -> Result<()> {
        let mut tensors = checkpoint::read(path)?.tensors;
        tensors.retain(|tensor, _| tensor.starts_with(&format!("scorers.{name}.")));
        checkpoint::copy_into(&self.tensors(name)?, &tensors, path)
    }

    /// Its weights by the names a checkpoint uses, sharing memory.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn tensors(&self, name: &str) -> Result<Tensors> {
        let parameters = self.module.as_ref().map(Module::parameters).transpose()?.unwrap_or_default();
        Ok(parameters.into_iter().map(|p| (format!("scorers.{name}.{}", p.name), p.tensor)).collect())
    }

    /// Scores `[row, class]`.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn score(&self, array: &Tensor, train: bool) -> Result<Tensor> {
        match &self.module {
            Some(module) => module.forward(Role::Score, array, &[self.classes], train),
            None => Ok(array.f_reshape([-1, self.classes])?),
        }
    }

    /// Features `[row, feature]` that the scores are read from, `None` if the scorer has none.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn features(&self, array: &Tensor) -> Result<Option<Tensor>> {
        self.beside(Role::Features, self.features.as_deref(), array)
    }

    /// Numbers `[row, number]` whose squared differences, summed, are how different rows appear, `None` if the scorer has
    /// none.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn perceptual(&self, array: &Tensor) -> Result<Option<Tensor>> {
        self.beside(Role::Perceptual, self.perceptual.as_deref(), array)
    }

    fn beside(&self, role: Role, axes: Option<&[i64]>, array: &Tensor) -> Result<Option<Tensor>> {
        let (Some(module), Some(axes)) = (&self.module, axes) else { return Ok(None) };
        let _no_grad = tch::no_grad_guard();
        Ok(Some(module.forward(role, array, axes, false)?.f_flatten(1, -1)?))
    }

    /// The softmax of the scores, `[row, class]`.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn probabilities(&self, array: &Tensor) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        Ok(self.score(array, false)?.f_softmax(-1, tch::Kind::Float)?)
    }

    /// The class of each row.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn classes_of(&self, array: &Tensor) -> Result<Vec<i64>> {
        let _no_grad = tch::no_grad_guard();
        let classes = self.score(array, false)?.f_argmax(-1, false)?.f_to_device(Device::Cpu)?;
        Vec::<i64>::try_from(classes).map_err(RunError::from)
    }
}

/// A plan's `{kind, ...}` as the engine's type; planning and engine know the same kinds, or it is a bug.
pub fn typed<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T> {
    T::deserialize(value).map_err(|e| RunError::Internal(format!("{value} in a plan: {e}")))
}

/// The branches that a plan's guidance comes to, with what is given and what is generated.
///
/// # Errors
/// [`RunError::Internal`] when planner and engine disagree.
pub fn branches(guidance: Option<&serde_json::Value>, states: &IndexMap<String, Observed>) -> Result<Vec<Branch>> {
    let Some(guidance) = guidance else { return Ok(Vec::new()) };
    let named = |holds: fn(&Observed) -> bool| {
        states.iter().filter(move |(_, state)| holds(state)).map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    let given = named(|state| matches!(state, Observed::Clean(_) | Observed::Noised(_) | Observed::Prompt { .. }));
    Ok(typed::<Guidance>(guidance)?.branches(&given, &named(Observed::is_generated)))
}

/// What is known of a stream that is given whole.
pub fn given(given: Given, latent: Tensor) -> Observed {
    match given {
        Given::Clean => Observed::Clean(latent),
        Given::Noised => Observed::Noised(latent),
    }
}
