//! The third stage: modules and diffusion, on the engine's compute thread.

mod judge;
mod made_cells;
mod module;

use anyflow_diffusion::{EngineHandle, EngineStats, Observed, Request, Sampled};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Condition, Op, RunPlan, Step};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use super::decode::class_cells;
use super::micro_batch::MicroBatch;
use crate::events::Events;
use crate::from_plan::{branches, observed};
use crate::networks::Networks;
use crate::plugin::Codec;
use crate::scoring::{ClassEmbeddings, PredictX0, Predicted};
use crate::{Result, RunError};

/// Runs the compute steps of a plan on micro-batches.
pub struct Compute<'a> {
    plan: &'a RunPlan,
    events: &'a Events,
    codecs: &'a IndexMap<String, Codec>,
    threads: usize,
    networks: Networks,
    /// The class embeddings of each node that classifies.
    classes: IndexMap<String, ClassEmbeddings>,
}

impl<'a> Compute<'a> {
    /// Embeds the classes of the nodes that classify.
    ///
    /// # Errors
    /// The engine's error.
    pub fn start(
        plan: &'a RunPlan,
        order: &Order,
        networks: Networks,
        codecs: &'a IndexMap<String, Codec>,
        events: &'a Events,
    ) -> Result<Self> {
        let mut classes = IndexMap::new();
        for step in &plan.steps {
            if let Op::Score { scoring, .. } = &step.op {
                let codec = &codecs[&scoring.stream];
                let embeddings = ClassEmbeddings::of_classes(&step.node, scoring, codec, &networks)?;
                classes.insert(step.node.clone(), embeddings);
            }
        }
        Ok(Compute { plan, events, codecs, threads: order.threads as usize, networks, classes })
    }

    /// The engine.
    pub fn engine(&self) -> &EngineHandle {
        self.networks.engine()
    }

    /// The engine's statistics.
    pub fn stats(&self) -> EngineStats {
        self.networks.stats()
    }

    /// Runs all compute steps on one micro-batch. Drops each value after its last use.
    ///
    /// # Errors
    /// A module or the engine failed. Rows with a NaN or infinite number only fail in the micro-batch.
    pub fn run(&self, batch: &mut MicroBatch) -> Result<()> {
        for (index, step) in self.plan.steps.iter().enumerate() {
            let span = tracing::info_span!("compute", node = step.node, shard = batch.shard, row = batch.first_row());
            let _span = span.entered();
            match &step.op {
                Op::ReadCells { stream, from, to } => self.read_made(batch, &step.node, stream, from, to)?,
                Op::WriteCells { stream, from, to } => self.write_read(batch, &step.node, stream, from, to)?,
                Op::WriteNumbers { .. } => {}
                Op::Module { stream, role, from, to } => self.module(batch, step, stream, *role, from, to)?,
                Op::Diffuse { .. } => self.diffuse(batch, step)?,
                Op::Score { .. } => self.score(batch, step)?,
                Op::Judge { .. } => self.judge(batch, step)?,
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

    fn diffuse(&self, batch: &mut MicroBatch, step: &Step) -> Result<()> {
        let Op::Diffuse {
            denoiser,
            generate,
            marginalize,
            observe,
            masks,
            given,
            condition,
            guidance,
            absent,
            sampler,
            seed,
        } = &step.op
        else {
            return Err(RunError::Internal(format!("step {} is not a diffusion", step.node)));
        };
        self.events.enter(&step.node, None);
        let mut states = IndexMap::new();
        let mut prompts = self.prompts(batch, condition)?;
        for stream in self.networks.engine().streams(denoiser).map_err(RunError::diffusion(&step.node))? {
            let name = &stream.name;
            let state = if let Some(prompt) = prompts.swap_remove(name) {
                prompt
            } else if self.plan.model.prompts.contains_key(name) {
                Observed::Absent
            } else if let Some(id) = observe.get(name) {
                let latent = value(batch, id)?.f_to_device(self.networks.device)?;
                let latent = self.networks.on_stream(&step.node, name, move |net| net.normalize(&latent))?;
                match masks.get(name) {
                    Some(mask) => Observed::Inpaint { value: latent, mask: value(batch, mask)?.shallow_clone() },
                    None => observed(*given, latent),
                }
            } else if absent.contains(name) {
                Observed::Absent
            } else if generate.contains_key(name) || marginalize.contains(name) {
                Observed::Noisy
            } else {
                return Err(RunError::Internal(format!("node {} has no role for stream {name}", step.node)));
            };
            states.insert(name.clone(), state);
        }
        let request = Request {
            denoiser: denoiser.clone(),
            rows: batch.keys.iter().map(|key| key.hash).collect(),
            guidance: branches(guidance.as_ref(), &states),
            states,
            sampler: sampler.clone(),
            seed: *seed,
            outputs: generate.keys().cloned().collect(),
        };
        let ticket = self.networks.engine().submit(request).map_err(RunError::diffusion(&step.node))?;
        let Sampled { streams, rows_failed } = ticket.wait().map_err(RunError::diffusion(&step.node))?;
        for (row, text) in rows_failed {
            batch.fail(row, &step.node, "diffusion", text);
        }
        for (name, latent) in streams {
            let latent = self.networks.on_stream(&step.node, &name, move |net| net.denormalize(&latent))?;
            batch.values.insert(generate[&name].clone(), latent);
        }
        Ok(())
    }
}

impl Compute<'_> {
    /// Classifies rows: the index of the best class, and the cosine similarity to each class.
    fn score(&self, batch: &mut MicroBatch, step: &Step) -> Result<()> {
        let Op::Score { denoiser, scoring, observe, absent, sampler, seed, label, scores } = &step.op else {
            return Err(RunError::Internal(format!("step {} is not a classification", step.node)));
        };
        self.events.enter(&step.node, None);
        let mut observed = IndexMap::new();
        for (name, id) in observe {
            let latent = value(batch, id)?.f_to_device(self.networks.device)?;
            let latent = self.networks.on_stream(&step.node, name, move |net| net.normalize(&latent))?;
            observed.insert(name.clone(), latent);
        }
        let keys: Vec<u64> = batch.keys.iter().map(|key| key.hash).collect();
        let predict = PredictX0 { node: &step.node, denoiser, scoring, absent, sampler: sampler.clone(), seed: *seed };
        let Predicted { mean, failed } = predict.run(&self.networks, &observed, &keys)?;
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

    /// The prompts of a node. If several conditions name one prompt, its tokens are their weighted mean.
    fn prompts(&self, batch: &MicroBatch, condition: &[Condition]) -> Result<IndexMap<String, Observed>> {
        let mut mixed: IndexMap<&String, WeightedSum> = IndexMap::new();
        for Condition { prompt, from, weight } in condition {
            let tokens = value(batch, from)?.f_to_device(self.networks.device)?.f_mul_scalar(*weight)?;
            let sum = match mixed.swap_remove(prompt) {
                Some(WeightedSum { tokens: sum, weight: total }) => {
                    WeightedSum { tokens: sum.f_add(&tokens)?, weight: total + weight }
                }
                None => WeightedSum { tokens, weight: *weight },
            };
            mixed.insert(prompt, sum);
        }
        let mut prompts = IndexMap::new();
        for (prompt, WeightedSum { tokens, weight }) in mixed {
            prompts.insert(prompt.clone(), Observed::Prompt { value: tokens.f_div_scalar(weight)?, weight });
        }
        Ok(prompts)
    }
}

/// A sum of tokens times their weights, and the sum of the weights.
struct WeightedSum {
    tokens: Tensor,
    weight: f64,
}

fn value<'b>(batch: &'b MicroBatch, id: &str) -> Result<&'b Tensor> {
    batch.values.get(id).ok_or_else(|| RunError::Internal(format!("value {id} is missing")))
}
