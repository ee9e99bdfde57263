//! The third stage: modules and diffusion, on the engine's compute thread.

mod compare;
mod follow;
mod judge;
mod made_cells;
mod module;
mod prompts;

use anyflow_diffusion::{EngineHandle, EngineStats, Request, Sampled};
use anyflow_plan::plan::{Diffusion, Op, RunPlan, Step};
use indexmap::IndexMap;
use tch::{Device, Tensor};

pub use self::follow::Follow;
use self::prompts::EncodedPrompts;
use super::decode::class_cells;
use super::micro_batch::MicroBatch;
use crate::events::Events;
use crate::networks::Networks;
use crate::plugin::Codec;
use crate::request::{NodeDiffusion, RoleValues};
use crate::scoring::{ClassEmbeddings, PredictX0, Predicted};
use crate::values::{hidden, joined};
use crate::{Result, RunError};

/// Runs the compute steps of a plan on micro-batches.
pub struct Compute<'a> {
    plan: &'a RunPlan,
    events: &'a Events,
    codecs: &'a IndexMap<String, Codec>,
    threads: usize,
    networks: &'a Networks,
    /// How a client follows the rows; `None` in a job.
    follow: Option<Follow<'a>>,
    /// The class embeddings of each node that classifies.
    classes: IndexMap<String, ClassEmbeddings>,
    prompts: EncodedPrompts,
}

impl<'a> Compute<'a> {
    /// Embeds the classes of the nodes that classify.
    ///
    /// # Errors
    /// The engine's error.
    pub fn start(
        plan: &'a RunPlan,
        threads: usize,
        networks: &'a Networks,
        codecs: &'a IndexMap<String, Codec>,
        events: &'a Events,
    ) -> Result<Self> {
        let mut classes = IndexMap::new();
        for Step { node, op } in &plan.steps {
            let described = match op {
                Op::Score { scoring, .. } => {
                    ClassEmbeddings::of_stream(node, scoring, &codecs[&scoring.stream], networks)?
                }
                Op::Compare { scorer, classes, .. } if !classes.is_empty() => {
                    let [_, prompt] = &plan.model.scorers[scorer].between;
                    let pool = |array: Tensor| networks.on_stream(node, prompt, move |net| net.pool(&array, false));
                    ClassEmbeddings::of_classes(node, classes, &codecs[prompt], |array| {
                        pool(array.f_to_device(networks.device)?)
                    })?
                }
                _ => continue,
            };
            classes.insert(node.clone(), described);
        }
        let prompts = EncodedPrompts::default();
        Ok(Compute { plan, events, codecs, threads, networks, follow: None, classes, prompts })
    }

    /// The same for a client that follows its rows.
    pub fn followed(self, follow: Follow<'a>) -> Self {
        Compute { follow: Some(follow), ..self }
    }

    /// The engine.
    pub fn engine(&self) -> &EngineHandle {
        self.networks.engine()
    }

    /// The engine's statistics.
    pub fn stats(&self) -> EngineStats {
        self.networks.stats()
    }

    /// Rows of prompts, and how many of them were encoded: equal ones of a shard are encoded once.
    pub fn prompt_rows(&self) -> [u64; 2] {
        [self.prompts.rows, self.prompts.encoded]
    }

    /// Runs all compute steps on one micro-batch. Drops each value after its last use.
    ///
    /// # Errors
    /// A module or the engine failed, or the client is gone. Rows with a NaN or infinite number only fail in the micro-batch.
    pub fn run(&mut self, batch: &mut MicroBatch) -> Result<()> {
        let plan = self.plan;
        for (index, step) in plan.steps.iter().enumerate() {
            let span = tracing::info_span!("compute", node = step.node, shard = batch.shard, row = batch.first_row());
            let _span = span.entered();
            self.follow.iter().try_for_each(Follow::check)?;
            match &step.op {
                Op::ReadCells { stream, from, to } => self.read_made(batch, &step.node, stream, from, to)?,
                Op::WriteCells { stream, from, to } => self.write_read(batch, &step.node, stream, from, to)?,
                Op::ReadNumbers { numbers, from, to } => {
                    self.read_made_numbers(batch, &step.node, *numbers, from, to)?
                }
                Op::WriteNumbers { .. } => {}
                Op::Hide { from, mask, fill, to } => {
                    let visible = hidden(value(batch, from)?, value(batch, mask)?, *fill)?;
                    batch.values.insert(to.clone(), visible);
                }
                Op::Join { from, to } => {
                    let parts = from.iter().map(|id| value(batch, id)).collect::<Result<Vec<_>>>()?;
                    let tokens = joined(&parts)?;
                    batch.values.insert(to.clone(), tokens);
                }
                Op::Module { stream, role, from, to } => self.module(batch, step, stream, *role, from, to)?,
                Op::Diffuse { diffusion, to } => self.diffuse(batch, index, diffusion, to)?,
                Op::Score { .. } => self.score(batch, step)?,
                Op::Judge { .. } => self.judge(batch, step)?,
                Op::Compare { .. } => self.compare(batch, step)?,
            }
            batch.values.retain(|id, _| !self.is_unused_after(id, index));
        }
        Ok(())
    }

    /// True if no compute step after `index` reads a value and no output needs it.
    fn is_unused_after(&self, id: &str, index: usize) -> bool {
        let last = self.plan.values.get(id).and_then(|value| value.last_use);
        last.is_some_and(|last| last <= index && !self.plan.steps[last].op.is_writing())
    }

    fn diffuse(
        &self,
        batch: &mut MicroBatch,
        index: usize,
        diffusion: &Diffusion,
        to: &IndexMap<String, String>,
    ) -> Result<()> {
        let step = &self.plan.steps[index];
        self.events.enter(&step.node, None);
        let sampler = NodeDiffusion { node: &step.node, diffusion, networks: self.networks };
        let states = sampler.states(&BatchValues { batch, node: &step.node, networks: self.networks })?;
        let request = sampler.request(states, batch.keys.iter().map(|key| key.hash).collect());
        let outputs = to.keys().cloned().collect();
        let request = Request { outputs, ..request };
        let Sampled { streams, rows_failed } = match &self.follow {
            Some(follow) => self.sample_followed(batch, index, request, follow)?,
            None => sampler.sample(request)?,
        };
        for (row, text) in rows_failed {
            batch.fail(row, &step.node, "diffusion", text);
        }
        for (name, latent) in streams {
            let latent = self.networks.on_stream(&step.node, &name, move |net| net.denormalize(&latent))?;
            batch.values.insert(to[&name].clone(), latent);
        }
        Ok(())
    }
}

impl Compute<'_> {
    /// Classifies rows: the index of the best class, and the cosine similarity to each class.
    fn score(&self, batch: &mut MicroBatch, step: &Step) -> Result<()> {
        let Op::Score { diffusion, scoring, label, scores } = &step.op else {
            return Err(RunError::Internal(format!("step {} is not a classification", step.node)));
        };
        self.events.enter(&step.node, None);
        let sampler = NodeDiffusion { node: &step.node, diffusion, networks: self.networks };
        let states = sampler.states(&BatchValues { batch, node: &step.node, networks: self.networks })?;
        let keys: Vec<u64> = batch.keys.iter().map(|key| key.hash).collect();
        let Predicted { mean, failed } = PredictX0 { sampler, scoring }.run(&states, &keys)?;
        for (row, text) in failed {
            batch.fail(row, &step.node, "diffusion", text);
        }
        let cosines = self.classes[&step.node].cosines(&mean)?;
        let cosines = cosines.f_to_device(Device::Cpu)?;
        if let Some(label) = label {
            let best = cosines.f_argmax(-1, false)?;
            if self.is_read(label) {
                let names: Vec<String> = scoring.classes.keys().cloned().collect();
                batch.cells.insert(label.clone(), class_cells(&names, &best)?);
            }
            batch.values.insert(label.clone(), best);
        }
        if let Some(scores) = scores {
            batch.values.insert(scores.clone(), cosines);
        }
        Ok(())
    }
}

/// The values of a micro-batch, by id.
struct BatchValues<'a> {
    batch: &'a MicroBatch,
    node: &'a str,
    networks: &'a Networks,
}

impl RoleValues for BatchValues<'_> {
    fn value(&self, stream: &str, from: &str) -> Result<Tensor> {
        let value = value(self.batch, from)?.f_to_device(self.networks.device)?;
        if self.networks.is_prompt(stream) {
            return Ok(value);
        }
        self.networks.on_stream(self.node, stream, move |net| net.normalize(&value))
    }

    fn mask(&self, from: &str) -> Result<Tensor> {
        Ok(value(self.batch, from)?.shallow_clone())
    }
}

fn value<'b>(batch: &'b MicroBatch, id: &str) -> Result<&'b Tensor> {
    batch.values.get(id).ok_or_else(|| RunError::Internal(format!("value {id} is missing")))
}
