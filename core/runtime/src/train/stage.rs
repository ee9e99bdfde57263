//! One stage: its loop, its saved state, its metrics.

use std::time::{Duration, Instant};

use anyflow_diffusion::Optimizer;
use anyflow_plan::plan::{Stage, Trained};
use serde_json::{Map, Value, json};
use tch::{Device, Tensor};

use super::Trainee;
use super::cache::LatentCache;
use super::data::TableData;
use super::draw::Draws;
use super::folder::TrainingFolder;
use super::guard::{Guard, MOST_ROLLBACKS};
use super::metrics::{Recent, StepFigures};
use super::objective::{LOSS, Objective, Per, Prepared, encode_all};
use super::state::{StageFile, States};
use crate::checkpoint;
use crate::events::{self, Events};
use crate::plugin::{Module, Parameter};
use crate::session::typed;
use crate::{Result, RunError};

/// Steps between two lines of metrics. Only there is the device waited for, a good state kept, and a state saved.
const LOG_EVERY: u64 = 50;
/// The state is saved after so many steps, or so much time: what comes first.
const SAVE_STEPS: u64 = 500;
const SAVE_EVERY: Duration = Duration::from_secs(30);
/// The name of the gradient's norm among a step's figures.
const NORM: &str = "gradient_norm";
/// Smallest deviation of a latent's coordinate: a constant one stays finite when standardised.
const LEAST_DEVIATION: f64 = 1e-4;

/// Tensors with their names, sharing memory with what is trained.
type Named = Vec<(String, Tensor)>;

/// A stage with everything it needs.
pub struct StageRun<'a> {
    /// Its place among the stages.
    pub index: usize,
    /// What is asked.
    pub stage: &'a Stage,
    /// What is trained.
    pub trainee: &'a Trainee,
    /// Its rows.
    pub data: &'a TableData,
    /// The training's seed.
    pub seed: u64,
    /// Where state and metrics go.
    pub folder: &'a TrainingFolder,
    /// Latents of frozen encoders.
    pub cache: &'a LatentCache<'a>,
    /// Where progress goes.
    pub events: &'a Events,
}

/// What changes as a stage goes on.
struct Work<'a> {
    prepared: Prepared<'a>,
    optimizer: Optimizer,
    guard: Guard,
    states: States<'a>,
    draws: Draws,
    /// The stage's own seed.
    seed: u64,
}

impl StageRun<'_> {
    /// Runs the stage from its saved state, or from the start.
    ///
    /// # Errors
    /// Plugins, disk, or a loss that is no longer a number, again and again.
    pub fn run(&self) -> Result<Value> {
        let objective: Objective = typed(&self.stage.objective)?;
        if let (Objective::Statistics { streams, per }, Trained::Statistics) = (&objective, &self.stage.train) {
            return self.statistics(streams.as_deref(), *per);
        }
        let prepared = Prepared::new(objective, &self.stage.train, self.trainee, self.data, self.cache)?;
        let (parameters, buffers) = self.parameters()?;
        let weights = parameters.iter().map(|(_, t)| t.numel()).sum::<usize>();
        let config = typed(&self.stage.optimizer)?;
        let optimizer = Optimizer::new(config, self.stage.steps, self.stage.ema, parameters)
            .map_err(RunError::diffusion(&self.stage.name))?;
        let states = States::of(self.folder, StageFile { index: self.index, name: &self.stage.name });
        let guard = self.resume(&states, &optimizer, buffers)?;
        self.events.begin(&self.stage.name, Some(self.stage.steps), "steps", guard.step);
        // Each stage draws from a seed of its own, and each step of it from (seed, step).
        let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(self.index as u64);
        let draws = Draws::new(self.data.rows(), self.stage.batch, guard.seed(seed));
        let mut work = Work { prepared, optimizer, guard, states, draws, seed };
        let loss = self.steps(&mut work)?;
        work.optimizer.settle().map_err(RunError::diffusion(&self.stage.name))?;
        Ok(json!({ "loss": loss, "weights": weights, "rollbacks": work.guard.rollbacks }))
    }

    /// The loop; gives the mean loss of the last line of metrics.
    fn steps(&self, work: &mut Work<'_>) -> Result<f64> {
        let name = &self.stage.name;
        let (mut saved, started) = (Instant::now(), Instant::now());
        let (mut recent, mut last, mut step) = (Recent::default(), f64::NAN, work.guard.step);
        while step < self.stage.steps {
            let _span = tracing::info_span!("step", stage = name, step).entered();
            let figures = self.step(work, step)?;
            step += 1;
            let logged = step % LOG_EVERY == 0 || step == self.stage.steps;
            // To ask a CPU costs nothing; another device would have to be waited for.
            let kept = self.stage.keep.contains(&step);
            let asked = logged || kept || self.trainee.session.device == Device::Cpu;
            if asked && work.optimizer.failed().map_err(RunError::diffusion(name))? {
                step = self.go_back(work, step, &figures)?;
                recent = Recent::default();
                continue;
            }
            if kept {
                self.keep_step(work, step)?;
            }
            recent.add(figures)?;
            if !logged {
                continue;
            }
            let rate = work.optimizer.learning_rate(step - 1) * work.guard.rate();
            let line = recent.take(name, step, rate, started.elapsed())?;
            self.folder.log(&line)?;
            self.events.progress(name, step, events::figures([("loss", line[LOSS].clone())]));
            last = line[LOSS].as_f64().unwrap_or(f64::NAN);
            work.guard.keep(step)?;
            let due = step % SAVE_STEPS == 0 || saved.elapsed() > SAVE_EVERY;
            if due && step < self.stage.steps {
                work.states.save(work.guard.state(), step, work.guard.rollbacks)?;
                saved = Instant::now();
            }
        }
        Ok(last)
    }

    /// One step of the optimizer: the gradients of micro-batches add up to those of the batch.
    fn step(&self, work: &mut Work<'_>, step: u64) -> Result<StepFigures> {
        let seed = work.guard.seed(work.seed);
        crate::seed_libtorch(seed.wrapping_add(step << 20));
        let batch = work.prepared.gather(&work.draws.step(self.data, step))?;
        let (rows, most) = (self.stage.batch as usize, self.stage.micro_batch as usize);
        let mut figures = StepFigures::default();
        for first in (0..rows).step_by(most) {
            let count = most.min(rows - first);
            let (loss, mut others) = work.prepared.loss(&batch, (first, count), (seed, step))?;
            let share = count as f64 / rows as f64;
            let part = if share == 1.0 { loss.shallow_clone() } else { loss.f_mul_scalar(share)? };
            part.f_backward()?;
            others.push((LOSS.into(), loss));
            figures.add(others, share)?;
        }
        let loss = figures.get(LOSS).ok_or_else(|| RunError::Internal("a step without rows".into()))?;
        let rate = work.optimizer.learning_rate(step) * work.guard.rate();
        let norm = work.optimizer.step(loss, step, rate).map_err(RunError::diffusion(&self.stage.name))?;
        figures.add(vec![(NORM.into(), norm)], 1.0)?;
        Ok(figures)
    }

    /// Keeps the weights as a finished stage would have them: with the averages in their place, if there are any.
    fn keep_step(&self, work: &Work<'_>, step: u64) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let state = work.guard.state();
        let averaged = state.iter().filter_map(|(name, average)| {
            let weight = state.get(&format!("weight.{}", name.strip_prefix("average.")?))?;
            Some((weight.shallow_clone(), average))
        });
        let mut last = Vec::new();
        for (mut weight, average) in averaged {
            last.push((weight.shallow_clone(), weight.f_detach_copy()?));
            weight.f_copy_(average)?;
        }
        let file = StageFile { index: self.index, name: &self.stage.name };
        let result = self.folder.keep_step(&file, step, &self.trainee.tensors(&self.stage.train)?);
        for (mut weight, value) in last {
            weight.f_copy_(&value)?;
        }
        result
    }

    /// Goes back to the last good state, with half the learning rate and other draws, unless it did so too often;
    /// gives the step to go on from.
    fn go_back(&self, work: &mut Work<'_>, step: u64, figures: &StepFigures) -> Result<u64> {
        let read = |name: &str| figures.get(name).map_or(Ok(f64::NAN), |value| value.f_double_value(&[]));
        let (stage, loss, norm) = (self.stage.name.clone(), read(LOSS)?, read(NORM)?);
        let (good, rollbacks) = (work.guard.step, work.guard.rollbacks);
        if rollbacks >= MOST_ROLLBACKS {
            return Err(RunError::Diverged { stage, step, loss, norm, rollbacks, good });
        }
        work.guard.go_back()?;
        work.optimizer.reset_failure().map_err(RunError::diffusion(&stage))?;
        work.draws = Draws::new(self.data.rows(), self.stage.batch, work.guard.seed(work.seed));
        self.events.note(format!(
            "stage {stage}: by step {step} the loss ({loss:.3e}) or its gradient (norm {norm:.3e}) is no longer a number; back \
             to step {good} with half the learning rate and other draws ({} of {MOST_ROLLBACKS})",
            rollbacks + 1
        ));
        Ok(good)
    }

    /// The state to go on from, put in place.
    fn resume(&self, states: &States<'_>, optimizer: &Optimizer, buffers: Named) -> Result<Guard> {
        let mut state = optimizer.state().map_err(RunError::diffusion(&self.stage.name))?;
        state.extend(buffers.into_iter().map(|(name, tensor)| (format!("buffer.{name}"), tensor)));
        let (mut step, mut rollbacks) = (0, 0);
        if let Some(saved) = states.load(self.events)? {
            checkpoint::copy_into(&state, &saved.tensors, std::path::Path::new(&self.stage.name))?;
            (step, rollbacks) = (saved.step, saved.rollbacks);
        }
        self.folder.rewind_log(&self.stage.name, step)?;
        Guard::new(state, step, rollbacks)
    }

    /// What the optimizer changes, and what else changes as the stage's network is used.
    fn parameters(&self) -> Result<(Named, Named)> {
        let module = match &self.stage.train {
            Trained::Denoiser(name) => {
                let all = self.trainee.session.denoisers[name].parameters();
                return Ok((self.chosen(all)?, Vec::new()));
            }
            Trained::Prompts(names) => {
                let (mut trainable, mut others) = (Vec::new(), Vec::new());
                for name in names {
                    let (more, still) = self.of_module(&self.trainee.session.streams[name].module)?;
                    let under = |(parameter, tensor)| (format!("{name}.{parameter}"), tensor);
                    trainable.extend(more.into_iter().map(under));
                    others.extend(still.into_iter().map(under));
                }
                return Ok((trainable, others));
            }
            Trained::Stream(name) => &self.trainee.session.streams[name].module,
            Trained::Scorer(name) => &self.trainee.scorers[name].module,
            Trained::Statistics => &None,
        };
        self.of_module(module)
    }

    /// The parameters of a denoiser that the stage trains; the others record no gradient while it does.
    fn chosen(&self, all: Named) -> Result<Named> {
        let patterns = &self.stage.weights;
        if let Some(idle) = patterns.iter().find(|pattern| !all.iter().any(|(name, _)| matches(pattern, name))) {
            let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            return Err(RunError::Data(format!(
                "stage {}: no weight is called `{idle}`; there are {}",
                self.stage.name,
                names.join(", ")
            )));
        }
        let (mut trained, every) = (Vec::new(), patterns.is_empty());
        for (name, tensor) in all {
            let chosen = every || patterns.iter().any(|pattern| matches(pattern, &name));
            let tensor = tensor.f_set_requires_grad(chosen)?;
            if chosen {
                trained.push((name, tensor));
            }
        }
        Ok(trained)
    }

    fn of_module(&self, module: &Option<Module>) -> Result<(Named, Named)> {
        let module = module.as_ref().ok_or_else(|| {
            RunError::Internal(format!("stage {} trains something that has no module", self.stage.name))
        })?;
        let (trainable, others): (Vec<_>, Vec<_>) = module.parameters()?.into_iter().partition(|p| p.trainable);
        let named = |list: Vec<Parameter>| list.into_iter().map(|p| (p.name, p.tensor)).collect();
        Ok((named(trainable), named(others)))
    }

    /// Mean and deviation of each stream's latent over all rows, per coordinate or one of all; of some streams, or of all.
    fn statistics(&self, some: Option<&[String]>, per: Per) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        let mut result = Map::new();
        let asked = |stream: &&String| some.is_none_or(|some| some.contains(stream));
        for stream in self.data.streams().filter(asked) {
            let net = &self.trainee.session.streams[stream];
            if net.is_prompt() || net.is_class {
                continue;
            }
            let latents = encode_all(self.trainee, self.data, stream, self.cache)?;
            let axes: Vec<i64> = match per {
                Per::Coordinate => vec![0],
                Per::Stream => (0..latents.dim() as i64).collect(),
            };
            let mean = latents.f_mean_dim(axes.as_slice(), false, tch::Kind::Float)?;
            let deviation = latents.f_std_dim(axes.as_slice(), false, false)?.f_clamp_min(LEAST_DEVIATION)?;
            net.mean.shallow_clone().f_copy_(&mean)?;
            net.deviation.shallow_clone().f_copy_(&deviation)?;
            let typical = deviation.f_mean(tch::Kind::Float)?.f_double_value(&[])?;
            result.insert(stream.clone(), json!({ "rows": latents.size()[0], "mean_deviation": typical }));
        }
        Ok(Value::Object(result))
    }
}

/// Whether a name is what a pattern says, `*` standing for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, wanted) in [
            ("parts.image.*", "parts.image.input.weight", true),
            ("parts.image.*", "parts.images.input.weight", false),
            ("*context*", "parts.image.blocks.0.context.to_q.weight", true),
            ("parts.*.context.*", "parts.image.blocks.0.context.to_q.weight", true),
            ("parts.*.context.*", "environment.image.input.weight", false),
            ("input.weight", "input.weight", true),
            ("input", "input.weight", false),
            ("*.weight", "input.weight", true),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} on {name}");
        }
    }
}
