//! The third stage: modules and diffusion, on the engine's one thread.

mod module;

use std::collections::HashMap;

use anyflow_diffusion::{Denoiser, EngineHandle, EngineStats, Observed, Request, Sampled};
use anyflow_plan::plan::{Condition, Op, RunPlan, Step};
use indexmap::IndexMap;
use tch::{Device, Tensor};

use super::batch::Batch;
use crate::events::Events;
use crate::networks::Networks;
use crate::plugin::Codec;
use crate::scoring::{Bank, Recovery};
use crate::stream::StreamNet;
use crate::{Result, RunError, session};

/// Runs the compute steps of a plan on batches.
pub struct Compute<'a> {
    plan: &'a RunPlan,
    events: &'a Events,
    networks: Networks,
    /// What stands for the classes of each node that scores.
    banks: IndexMap<String, Bank>,
}

impl<'a> Compute<'a> {
    /// Starts the compute thread with the model's networks.
    ///
    /// # Errors
    /// What the engine says.
    pub fn start(
        plan: &'a RunPlan,
        streams: IndexMap<String, StreamNet>,
        denoisers: IndexMap<String, Box<dyn Denoiser>>,
        codecs: &IndexMap<String, Codec>,
        device: Device,
        events: &'a Events,
    ) -> Result<Self> {
        let networks = Networks::start(streams, denoisers, device)?;
        let mut banks = IndexMap::new();
        for step in &plan.steps {
            if let Op::Score { scoring, .. } = &step.op {
                banks.insert(
                    step.node.clone(),
                    Bank::of_classes(&step.node, scoring, &codecs[&scoring.stream], &networks)?,
                );
            }
        }
        Ok(Compute { plan, events, networks, banks })
    }

    /// The engine.
    pub fn engine(&self) -> &EngineHandle {
        self.networks.engine()
    }

    /// What the engine has done.
    pub fn stats(&self) -> EngineStats {
        self.networks.stats()
    }

    /// All compute steps on one batch; values are dropped after their last use.
    ///
    /// # Errors
    /// A module or the engine failed; rows that are not finite are noted in the batch instead.
    pub fn run(&self, batch: &mut Batch) -> Result<()> {
        for (index, step) in self.plan.steps.iter().enumerate() {
            let span = tracing::info_span!("compute", node = step.node, shard = batch.shard, row = batch.first_row);
            let _span = span.entered();
            match &step.op {
                Op::ReadCells { .. } | Op::WriteCells { .. } => {}
                Op::Module { stream, role, from, to } => self.module(batch, step, stream, *role, from, to)?,
                Op::Diffuse { .. } => self.diffuse(batch, step)?,
                Op::Score { .. } => self.score(batch, step)?,
            }
            batch.values.retain(|id, _| !self.dead(id, index));
        }
        Ok(())
    }

    /// Whether nobody reads a value after step `index`; what is written as cells lives until it is decoded.
    fn dead(&self, id: &str, index: usize) -> bool {
        let last = self.plan.values.get(id).and_then(|value| value.last_use);
        last.is_some_and(|last| last <= index && !matches!(self.plan.steps[last].op, Op::WriteCells { .. }))
    }

    fn diffuse(&self, batch: &mut Batch, step: &Step) -> Result<()> {
        let Op::Diffuse {
            denoiser,
            generate,
            along,
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
            return Err(RunError::Internal(format!("step {} is no diffusion", step.node)));
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
                let latent = self.networks.on_stream(&step.node, name, move |net| net.standardise(&latent))?;
                match masks.get(name) {
                    Some(mask) => Observed::Inpaint { value: latent, mask: value(batch, mask)?.shallow_clone() },
                    None => session::given(*given, latent),
                }
            } else if absent.contains(name) {
                Observed::Absent
            } else if generate.contains_key(name) || along.contains(name) {
                Observed::Noisy
            } else {
                return Err(RunError::Internal(format!("node {} says nothing of stream {name}", step.node)));
            };
            states.insert(name.clone(), state);
        }
        let request = Request {
            denoiser: denoiser.clone(),
            rows: batch.keys.iter().map(|key| key.hash).collect(),
            guidance: session::branches(guidance.as_ref(), &states)?,
            states,
            sampler: session::typed(sampler)?,
            seed: *seed,
            outputs: generate.keys().cloned().collect(),
        };
        let ticket = self.networks.engine().submit(request).map_err(RunError::diffusion(&step.node))?;
        let Sampled { streams, rows_failed } = ticket.wait().map_err(RunError::diffusion(&step.node))?;
        for (row, text) in rows_failed {
            batch.fail(row, &step.node, "diffusion", text);
        }
        for (name, latent) in streams {
            let latent = self.networks.on_stream(&step.node, &name, move |net| net.restore(&latent))?;
            batch.values.insert(generate[&name].clone(), latent);
        }
        Ok(())
    }
}

impl Compute<'_> {
    /// The numbers of the classes that fit best, and the cosines with all of them.
    fn score(&self, batch: &mut Batch, step: &Step) -> Result<()> {
        let Op::Score { denoiser, scoring, observe, absent, sampler, seed, label, scores } = &step.op else {
            return Err(RunError::Internal(format!("step {} scores nothing", step.node)));
        };
        self.events.enter(&step.node, None);
        let mut given = IndexMap::new();
        for (name, id) in observe {
            let latent = value(batch, id)?.f_to_device(self.networks.device)?;
            let latent = self.networks.on_stream(&step.node, name, move |net| net.standardise(&latent))?;
            given.insert(name.clone(), latent);
        }
        let keys: Vec<u64> = batch.keys.iter().map(|key| key.hash).collect();
        let recovery =
            Recovery { node: &step.node, denoiser, scoring, absent, sampler: session::typed(sampler)?, seed: *seed };
        let (query, failed) = recovery.run(&self.networks, &given, &keys)?;
        for (row, text) in failed {
            batch.fail(row, &step.node, "diffusion", text);
        }
        let cosines = self.banks[&step.node].cosines(&query)?;
        if let Some(label) = label {
            batch.values.insert(label.clone(), cosines.f_argmax(-1, false)?.f_to_device(Device::Cpu)?);
        }
        if let Some(scores) = scores {
            batch.values.insert(scores.clone(), cosines.f_to_device(Device::Cpu)?);
        }
        Ok(())
    }

    /// The prompts that are given. What several nodes make of one prompt is mixed by its weights.
    fn prompts(&self, batch: &Batch, condition: &[Condition]) -> Result<IndexMap<String, Observed>> {
        let mut mixed: IndexMap<&String, (Tensor, f64)> = IndexMap::new();
        for Condition { prompt, from, weight } in condition {
            let weighted = value(batch, from)?.f_to_device(self.networks.device)?.f_mul_scalar(*weight)?;
            let (sum, total) = match mixed.swap_remove(prompt) {
                Some((sum, total)) => (sum.f_add(&weighted)?, total + weight),
                None => (weighted, *weight),
            };
            mixed.insert(prompt, (sum, total));
        }
        let observed = |(prompt, (sum, weight)): (&String, (Tensor, f64))| {
            Ok((prompt.clone(), Observed::Prompt { value: sum.f_div_scalar(weight)?, weight }))
        };
        mixed.into_iter().map(observed).collect()
    }
}

fn value<'b>(batch: &'b Batch, id: &str) -> Result<&'b Tensor> {
    let values: &HashMap<String, Tensor> = &batch.values;
    values.get(id).ok_or_else(|| RunError::Internal(format!("value {id} is not there")))
}
