//! Loaded models within a budget of memory; the least recently used one leaves first.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyflow_plan::plan::RunPlan;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use indexmap::IndexMap;
use serde_json::{Value, json};
use tch::{Device, Tensor};

use super::content::{FileHashes, ModelContent};
use crate::events::{Events, figures};
use crate::networks::Networks;
use crate::plugin::Codec;
use crate::{Judge, Result, RunError, Session};

/// Time between two looks for memory that a finished run left.
const MOMENT: Duration = Duration::from_millis(10);

/// A loaded model, with the scorers of its pipelines.
pub struct LoadedModel {
    /// The model's name.
    pub name: String,
    /// Bytes of its tensors.
    pub bytes: u64,
    /// Codec of each stream and prompt.
    pub codecs: IndexMap<String, Codec>,
    /// The networks, on a compute thread of their own.
    pub networks: Networks,
}

/// What bounds the loaded models.
#[derive(Clone, Copy)]
pub struct ModelBudget {
    /// Bytes of all of them.
    pub bytes: u64,
    /// Maximum rows per network call; `None` for the engine's default.
    pub batch_rows: Option<u32>,
}

/// The loaded models by their content.
pub struct Models {
    device: Device,
    budget: ModelBudget,
    files: FileHashes,
    /// In the order of their last use.
    loaded: Mutex<IndexMap<String, Arc<LoadedModel>>>,
    /// Held while a model is loaded, so that none is loaded twice and no memory is promised twice.
    loading: Mutex<()>,
}

impl Models {
    /// No model yet.
    pub fn new(device: Device, budget: ModelBudget) -> Self {
        Models { device, budget, files: FileHashes::default(), loaded: Mutex::default(), loading: Mutex::default() }
    }

    /// The model of a pipeline, loaded now unless it was.
    ///
    /// # Errors
    /// Errors of [`Session::load`]; the model is larger than the budget; [`RunError::Cancelled`].
    pub fn of(&self, plan: &RunPlan, events: &Events, stop: &Receiver<Infallible>) -> Result<Arc<LoadedModel>> {
        let content = self.files.content(plan)?;
        if let Some(model) = self.used(&content.key) {
            return Ok(model);
        }
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = self.used(&content.key) {
            return Ok(model);
        }
        self.make_room(plan, &content, stop)?;
        let started = Instant::now();
        events.begin("load", None, "parts", 0);
        let model = Arc::new(load(plan, self.device, self.budget)?);
        let seconds = started.elapsed().as_secs_f64();
        events.end("load", figures([("seconds", seconds.into()), ("bytes", model.bytes.into())]));
        self.loaded().insert(content.key, model.clone());
        Ok(model)
    }

    /// Drops the model of a pipeline; false if it is not loaded. Runs that use it go on.
    ///
    /// # Errors
    /// A file of the model cannot be read.
    pub fn unload(&self, plan: &RunPlan) -> Result<bool> {
        let key = self.files.content(plan)?.key;
        let dropped = self.loaded().shift_remove(&key);
        Ok(dropped.is_some())
    }

    /// The loaded models and the counters of their engines, as JSON.
    pub fn status(&self) -> Value {
        let loaded = self.loaded();
        let model = |model: &Arc<LoadedModel>| {
            let stats = model.networks.stats();
            json!({
                "name": model.name,
                "bytes": model.bytes,
                "runs": Arc::strong_count(model) - 1,
                "network_calls": stats.steps,
                "row_steps": stats.row_steps,
            })
        };
        json!({"models": loaded.values().map(model).collect::<Vec<_>>(), "memory_bytes": self.budget.bytes})
    }

    /// A loaded model, which becomes the most recently used one.
    fn used(&self, key: &str) -> Option<Arc<LoadedModel>> {
        let mut loaded = self.loaded();
        let index = loaded.get_index_of(key)?;
        let last = loaded.len() - 1;
        loaded.move_index(index, last);
        loaded.get(key).cloned()
    }

    /// Drops idle models, the least recently used first, until the new one fits. Waits for runs if all are in use.
    fn make_room(&self, plan: &RunPlan, content: &ModelContent, stop: &Receiver<Infallible>) -> Result<()> {
        let ModelBudget { bytes: most, .. } = self.budget;
        let wanted = content.file_bytes;
        if wanted > most {
            return Err(RunError::Data(format!(
                "model {} needs {wanted} bytes, more than the {most} of the memory budget; raise --memory",
                plan.model.name
            )));
        }
        while !self.evict(most - wanted) {
            match stop.recv_timeout(MOMENT) {
                Err(RecvTimeoutError::Disconnected) => return Err(RunError::Cancelled),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        Ok(())
    }

    /// Drops idle models until the others have at most `most` bytes; false if those in use have more.
    fn evict(&self, most: u64) -> bool {
        let mut dropped = Vec::new();
        let mut loaded = self.loaded();
        while loaded.values().map(|model| model.bytes).sum::<u64>() > most {
            // Nobody else can take a reference while the list is locked.
            let idle = loaded.values().position(|model| Arc::strong_count(model) == 1);
            let Some((_, model)) = idle.and_then(|index| loaded.shift_remove_index(index)) else { return false };
            tracing::info!(model = model.name, "unloaded, since it was not used for the longest time");
            dropped.push(model);
        }
        drop(loaded);
        true
    }

    fn loaded(&self) -> MutexGuard<'_, IndexMap<String, Arc<LoadedModel>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(plan: &RunPlan, device: Device, budget: ModelBudget) -> Result<LoadedModel> {
    let mut session = Session::load(&plan.model, device)?;
    let judges = Judge::of_nodes(&plan.scorers, &mut session)?;
    let mut bytes: u64 = session.tensors()?.values().map(size_bytes).sum();
    for (node, judge) in &judges {
        bytes += judge.tensors(node)?.values().map(size_bytes).sum::<u64>();
    }
    let factors = session.factors(&plan.model)?;
    let Session { codecs, streams, denoisers, .. } = session;
    let names: Vec<String> = denoisers.keys().cloned().collect();
    let mut networks = Networks::start(streams, denoisers, device)?;
    networks.factors = factors;
    judges.into_iter().try_for_each(|(node, judge)| networks.add_judge(node, judge))?;
    if let Some(rows) = budget.batch_rows {
        for denoiser in &names {
            let set = networks.engine().set_max_batch_rows(denoiser, rows as usize);
            set.map_err(RunError::diffusion(denoiser))?;
        }
    }
    Ok(LoadedModel { name: plan.model.name.clone(), bytes, codecs, networks })
}

fn size_bytes(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}
