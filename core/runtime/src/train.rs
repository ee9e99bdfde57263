//! Training: runs the stages of a plan in order. Each stage is resumable.

mod cache;
mod draw;
mod folder;
mod frozen;
mod guard;
mod metrics;
mod objective;
mod parameters;
mod stage;
mod stage_file;
mod state;

use std::path::Path;
use std::time::Instant;

use anyflow_plan::order::Order;
use anyflow_plan::plan::{TrainPlan, Trained};
use indexmap::IndexMap;
use serde_json::{Value, json};
use tch::Device;

use crate::checkpoint::{self, Tensors, WeightType, Weights};
use crate::events::{Events, figures};
use crate::identity::{self, Loaded};
use crate::mapped::MappedColumn;
use crate::plugin::watch;
use crate::published;
use crate::sources::Sources;
use crate::stream::StreamNet;
use crate::table::{Incomplete, TableData, TableReading};
use crate::{Judge, Result, Session, process};
use cache::{LatentCache, RowCache};
use folder::TrainingFolder;
use stage::StageRun;
use stage_file::StageFile;

/// The model and the scorers of a training.
pub struct Trainee {
    /// The model.
    pub session: Session,
    /// Scorers by name.
    pub scorers: IndexMap<String, Judge>,
}

/// Runs all stages. Stages that an earlier run of the same training finished are loaded instead.
///
/// # Errors
/// The error that ended the training. Finished stages and the last saved state stay.
pub fn train(plan: &TrainPlan, order: &Order, device: Device, events: &Events) -> Result<Value> {
    let mut session = Session::new(&plan.model, device, plan.seed)?;
    let mut scorers = IndexMap::new();
    for (i, (name, scorer)) in plan.scorers.iter().enumerate() {
        let seed = plan.seed.wrapping_add(1000 + i as u64);
        scorers.insert(name.clone(), Judge::new(scorer, &mut session.plugins, device, seed)?);
    }
    let mut trainee = Trainee { session, scorers };
    let loaded = Loaded { plugins: trainee.session.plugins.hashes(), weights: load_initial(plan, &trainee)? };
    let sources = Sources { files: &plan.sources, generated: &plan.generated, model: &plan.model };
    let identities = sources.identities(plan.data.values())?;
    let job = identity::of_training(order, &loaded, &identities)?;
    let folder = TrainingFolder::open(order, &job)?;
    sources.generate(folder.files(), events)?;
    let plugins = &loaded.plugins;
    let rows = RowCache { files: folder.files(), model: &plan.model, plugins, sources: &identities };
    let cache = LatentCache { files: folder.files(), model: &plan.model, device, plugins, events };
    let mut tables: IndexMap<String, TableData<MappedColumn>> = IndexMap::new();
    let mut summaries = Vec::new();
    for (index, stage) in plan.stages.iter().enumerate() {
        let trained = trainee.tensors(&stage.train)?;
        let file = StageFile { index, name: &stage.name };
        if let Some(summary) = folder.load_stage(&file, &trained)? {
            events.note(format!("stage {} is already finished", stage.name));
            summaries.push(summary);
            continue;
        }
        if !tables.contains_key(&stage.data) {
            let reading = TableReading {
                part: &format!("data {}", stage.data),
                files: &plan.sources,
                model: &plan.model,
                session: &trainee.session,
                threads: order.readers.unwrap_or(order.threads) as usize,
                incomplete: Incomplete::Keep,
                events,
            };
            let table = TableData::of(&plan.data[&stage.data], &reading, |source| rows.rows(source))?;
            tables.insert(stage.data.clone(), table);
            sources.check(plan.data.values(), &identities)?;
        }
        // An earlier stage may have trained the module that encodes them.
        trainee.session.set_absent_prompts(&plan.model)?;
        let started = Instant::now();
        let data = &tables[&stage.data];
        let run =
            StageRun { index, stage, trainee: &trainee, data, seed: plan.seed, folder: &folder, cache: &cache, events };
        let result = watch::in_node(&stage.name, || run.run())?;
        let mut summary = json!({
            "stage": stage.name,
            "steps": stage.options.steps(),
            "rows": data.all().rows(),
            "seconds": started.elapsed().as_secs_f64(),
            "result": result,
        });
        let missing = data.missing_counts();
        if !missing.is_empty() {
            summary["rows_without"] = json!(missing);
        }
        folder.save_stage(&file, &trained, &summary)?;
        // The stage is on disk before its end is reported, so that it survives a power failure.
        events.end(&stage.name, summary["result"].as_object().cloned().unwrap_or_default());
        summaries.push(summary);
    }
    let mut result = json!({ "name": plan.name, "stages": summaries });
    if plan.stages.iter().any(|s| !matches!(s.train, Trained::Scorer { .. })) {
        result["model"] = folder.publish("model", &trainee.session.tensors()?, WeightType::Bf16)?.into();
    }
    if !trainee.scorers.is_empty() {
        result["scorers"] = folder.publish("scorers", &trainee.scorer_tensors()?, WeightType::Bf16)?.into();
    }
    // Before the summary, which marks the training as complete: if a file cannot be removed, a rerun removes it.
    RowCache::forget(folder.files())?;
    folder.write_summary(&result)?;
    result["output"] = order.output.clone().into();
    result["peak_memory_bytes"] = json!(process::peak_memory());
    events.end("training", figures([("stages", plan.stages.len().into())]));
    Ok(result)
}

/// Loads the initial weights of a training and returns the hashes of their files.
fn load_initial(plan: &TrainPlan, trainee: &Trainee) -> Result<IndexMap<String, String>> {
    let mut hashes = IndexMap::new();
    if let Some(start) = &plan.start {
        let path = Path::new(start);
        let Weights { mut tensors, blake3, .. } = checkpoint::read(path)?;
        // Names of tensors: `streams.NAME.mean`, `prompts.NAME.module.first.weight`, `denoisers.NAME.input.weight`.
        tensors
            .retain(|name, _| !name.split('.').nth(1).is_some_and(|part| plan.fresh.iter().any(|name| name == part)));
        checkpoint::copy_known(&trainee.all()?, &tensors, path)?;
        hashes.insert("start".into(), blake3);
    }
    let taken = published::take(&trainee.all()?, &plan.take, &plan.source)?;
    hashes.extend(taken.into_iter().map(|(name, hash)| (format!("take {name}"), hash)));
    Ok(hashes)
}

impl Trainee {
    /// All tensors that a checkpoint may hold, sharing memory.
    fn all(&self) -> Result<Tensors> {
        let mut tensors = self.session.tensors()?;
        tensors.extend(self.scorer_tensors()?);
        Ok(tensors)
    }

    fn scorer_tensors(&self) -> Result<Tensors> {
        let mut tensors = Tensors::new();
        for (name, scorer) in &self.scorers {
            tensors.extend(scorer.tensors(name)?);
        }
        Ok(tensors)
    }

    /// The tensors that a stage changes, by their names in a checkpoint, sharing memory.
    fn tensors(&self, trained: &Trained) -> Result<Tensors> {
        let keep = |prefix: String, all: Tensors| all.into_iter().filter(|(k, _)| k.starts_with(&prefix)).collect();
        match trained {
            Trained::Stream { name, .. } => {
                Ok(keep(format!("streams.{name}.module."), self.session.streams[name].tensors()?))
            }
            Trained::Denoiser { name, .. } => {
                // Add the statistics of the training, because the denoiser only fits these.
                let mut tensors = keep(format!("denoisers.{name}."), self.session.tensors()?);
                for stream in self.session.denoisers[name].streams() {
                    tensors.extend(self.session.streams[&stream.name].statistics());
                }
                Ok(tensors)
            }
            Trained::Modules { names, .. } => {
                let of = names.iter().map(|name| self.session.streams[name].tensors());
                let all = of.collect::<Result<Vec<_>>>()?.into_iter().flatten();
                Ok(all.filter(|(tensor, _)| tensor.contains(".module.")).collect())
            }
            Trained::Scorer { name, .. } => self.scorers[name].tensors(name),
            Trained::Nothing { .. } => Ok(self.session.streams.values().flat_map(StreamNet::statistics).collect()),
        }
    }
}
