//! One stage: its loop, its saved state, its metrics.

use std::path::Path;
use std::time::{Duration, Instant};

use anyflow_config::StageOptions;
use anyflow_diffusion::Optimizer;
use anyflow_plan::plan::Stage;
use serde_json::{Map, Value, json};
use tch::Device;

use super::Trainee;
use super::cache::LatentCache;
use super::draw::BatchDraws;
use super::folder::TrainingFolder;
use super::frozen::Setting;
use super::guard::{Guard, MOST_ROLLBACKS};
use super::metrics::{Recent, StepFigures};
use super::objective::{ACCURACY, LOSS, Objective, Prepared, StepKey, StepLoss, prepare};
use super::parameters::{Named, StateDict};
use super::stage_file::StageFile;
use super::state::{SavedState, StateFiles};
use crate::checkpoint;
use crate::events::Events;
use crate::mapped::MappedColumn;
use crate::table::{RowNeeds, Selection, TableData};
use crate::{Result, RunError};

/// Steps between two lines of metrics. Only at these steps the loop waits for the device, keeps a good state, and may
/// save it.
const LOG_EVERY: u64 = 50;
/// Steps and time between two saved states, whichever is less.
const SAVE_STEPS: u64 = 500;
const SAVE_EVERY: Duration = Duration::from_secs(30);
/// The name of the gradient's norm among a step's figures.
const NORM: &str = "gradient_norm";
/// The name of the loss's unit in metrics and summaries.
const UNIT: &str = "loss_unit";

/// A stage with everything it needs.
pub struct StageRun<'a> {
    /// Index of the stage.
    pub index: usize,
    /// The plan.
    pub stage: &'a Stage,
    /// The networks.
    pub trainee: &'a Trainee,
    /// The rows.
    pub data: &'a TableData<MappedColumn>,
    /// Seed of the training.
    pub seed: u64,
    /// The folder for state and metrics.
    pub folder: &'a TrainingFolder,
    /// Latents of frozen encoders.
    pub cache: &'a LatentCache<'a>,
    /// The receiver of progress.
    pub events: &'a Events,
}

/// The changing parts of a running stage.
struct Work<'a> {
    objective: Box<dyn Objective + 'a>,
    optimizer: Optimizer,
    guard: Guard,
    states: StateFiles<'a>,
    /// The rows that the objective can use.
    selection: Selection,
    draws: BatchDraws,
    /// Seed of the stage.
    seed: u64,
}

/// The end of a stage's steps.
struct Finished {
    /// The last line of metrics, null if there is none.
    last: Value,
    /// Without the first step of this process, which is slower; `None` if there is no other.
    steps_per_second: Option<f64>,
}

impl StageRun<'_> {
    /// Runs the stage from its saved state, or from the start. Returns its summary.
    ///
    /// # Errors
    /// Errors of plugins; the disk; a loss that stays NaN or infinite.
    pub fn run(&self) -> Result<Value> {
        let setting = Setting { trainee: self.trainee, data: self.data };
        let objective = match prepare(&self.stage.train, setting, self.cache)? {
            Prepared::Objective(objective) => objective,
            Prepared::Measured(summary) => return Ok(summary),
        };
        let StageOptions { optimizer, ema, batch, .. } = &self.stage.options;
        let selection = self.select(&objective.needs())?;
        let StateDict { trainable, buffers } = StateDict::of(self.stage, self.trainee)?;
        let weights = trainable.iter().map(|(_, t)| t.numel()).sum::<usize>();
        let optimizer = Optimizer::new(optimizer.clone(), self.stage.options.steps(), *ema, trainable)
            .map_err(RunError::diffusion(&self.stage.name))?;
        let states = StateFiles::of(self.folder, StageFile { index: self.index, name: &self.stage.name });
        let guard = self.resume(&states, &optimizer, buffers)?;
        self.events.begin(&self.stage.name, Some(self.stage.options.steps()), "steps", guard.step);
        // Each stage draws from its own seed, and each step from (seed, step).
        let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(self.index as u64);
        let draws = BatchDraws::new(selection.rows(), *batch, guard.seed(seed));
        let mut work = Work { objective, optimizer, guard, states, selection, draws, seed };
        let Finished { last, steps_per_second } = self.steps(&mut work)?;
        work.optimizer.settle().map_err(RunError::diffusion(&self.stage.name))?;
        let mut summary = json!({
            "loss": last[LOSS],
            UNIT: work.objective.unit(),
            "weights": weights,
            "rollbacks": work.guard.rollbacks,
            "steps_per_second": steps_per_second,
        });
        let left_out = self.data.all().rows() - work.selection.rows();
        if left_out > 0 {
            summary["left_out"] = left_out.into();
        }
        if let Some(accuracy) = last.get(ACCURACY) {
            summary[ACCURACY] = accuracy.clone();
        }
        Ok(summary)
    }

    /// The rows that meet the needs of the objective. A note counts those that do not.
    ///
    /// # Errors
    /// [`RunError::Data`]: no row does.
    fn select(&self, needs: &RowNeeds) -> Result<Selection> {
        let selection = self.data.selection(needs);
        let all = self.data.all().rows();
        let left_out = all - selection.rows();
        let name = &self.stage.name;
        if selection.rows() == 0 {
            return Err(RunError::Data(format!(
                "stage {name} has no rows: each of the {all} rows of table {} lacks {needs}; fill these columns, or remove the \
                 stage",
                self.stage.data
            )));
        }
        if left_out > 0 {
            self.events.note(format!("stage {name}: {left_out} of {all} rows are left out, because they lack {needs}"));
        }
        let (rows, batch) = (selection.rows() as u64, self.stage.options.batch);
        if rows < batch {
            self.events
                .note(format!("stage {name}: {rows} rows are fewer than the batch of {batch}; a step repeats rows"));
        }
        if let Some(class) = self.data.only_class().filter(|_| needs.class) {
            self.events
                .note(format!("stage {name}: all rows have class {class}, so that there is nothing to tell apart"));
        }
        Ok(selection)
    }

    /// Runs the steps.
    fn steps(&self, work: &mut Work<'_>) -> Result<Finished> {
        let name = &self.stage.name;
        let unit = work.objective.unit();
        let started = Instant::now();
        let mut saved = Instant::now();
        let mut recent = Recent::default();
        let mut last = Value::Null;
        let all = self.stage.options.steps();
        let mut step = work.guard.step;
        let second = step + 1;
        let mut warm = None;
        while step < all {
            let _span = tracing::info_span!("step", stage = name, step).entered();
            let figures = self.step(work, step)?;
            warm.get_or_insert_with(Instant::now);
            step += 1;
            let is_logged = step.is_multiple_of(LOG_EVERY) || step == all;
            let is_kept = self.stage.options.keep().contains(&step);
            // The check is free on a CPU. On other devices it would wait for the device.
            let is_checked = is_logged || is_kept || self.trainee.session.device == Device::Cpu;
            if is_checked && work.optimizer.failed().map_err(RunError::diffusion(name))? {
                step = self.roll_back(work, step, &figures)?;
                recent = Recent::default();
                continue;
            }
            if is_kept {
                self.keep_step(work, step)?;
            }
            recent.add(figures)?;
            if !is_logged {
                continue;
            }
            let rate = work.optimizer.learning_rate(step - 1) * work.guard.rate();
            last = recent.take(name, step, rate, started.elapsed())?;
            last[UNIT] = unit.into();
            self.folder.log(&last)?;
            self.events.progress(name, step, shown(&last, unit));
            work.guard.keep(step)?;
            let is_due = step.is_multiple_of(SAVE_STEPS) || saved.elapsed() > SAVE_EVERY;
            if is_due && step < all {
                work.states.save(work.guard.state(), step, work.guard.rollbacks)?;
                saved = Instant::now();
            }
        }
        let rate = |warm: Instant| (step - second) as f64 / warm.elapsed().as_secs_f64();
        Ok(Finished { last, steps_per_second: warm.filter(|_| step > second).map(rate) })
    }

    /// Runs one step of the optimizer. The gradients of micro-batches add up to the gradient of the batch.
    fn step(&self, work: &mut Work<'_>, step: u64) -> Result<StepFigures> {
        let seed = work.guard.seed(work.seed);
        crate::seed_libtorch(seed.wrapping_add(step << 20));
        let batch = work.objective.gather(&work.draws.step(&work.selection, step))?;
        let rows = self.stage.options.batch as usize;
        let most = self.stage.options.micro_batch() as usize;
        let mut figures = StepFigures::default();
        for first in (0..rows).step_by(most) {
            let count = most.min(rows - first);
            let StepLoss { loss, figures: mut others } =
                work.objective.loss(&batch.part(first, count)?, StepKey { seed, step })?;
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

    /// Writes the weights as a finished stage would: averages replace the weights that have one.
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

    /// Rolls back to the last good state, with half the learning rate and new draws, and returns its step.
    ///
    /// # Errors
    /// [`RunError::Diverged`] after too many rollbacks.
    fn roll_back(&self, work: &mut Work<'_>, step: u64, figures: &StepFigures) -> Result<u64> {
        let read = |name: &str| figures.get(name).map_or(Ok(f64::NAN), |value| value.f_double_value(&[]));
        let stage = self.stage.name.clone();
        let loss = read(LOSS)?;
        let norm = read(NORM)?;
        let good = work.guard.step;
        let rollbacks = work.guard.rollbacks;
        if rollbacks >= MOST_ROLLBACKS {
            return Err(RunError::Diverged { stage, step, loss, norm, rollbacks, good });
        }
        work.guard.roll_back()?;
        work.optimizer.reset_failure().map_err(RunError::diffusion(&stage))?;
        work.draws = BatchDraws::new(work.selection.rows(), self.stage.options.batch, work.guard.seed(work.seed));
        self.events.note(format!(
            "stage {stage}: at step {step} the loss ({loss:.3e}) or the norm of its gradient ({norm:.3e}) is NaN or infinite; \
             rolling back to step {good} with half the learning rate and new draws (rollback {} of {MOST_ROLLBACKS})",
            rollbacks + 1
        ));
        Ok(good)
    }

    /// Loads the saved state, if there is one, into the networks and the optimizer.
    fn resume(&self, states: &StateFiles<'_>, optimizer: &Optimizer, buffers: Named) -> Result<Guard> {
        let mut state = optimizer.state().map_err(RunError::diffusion(&self.stage.name))?;
        state.extend(buffers.into_iter().map(|(name, tensor)| (format!("buffer.{name}"), tensor)));
        let mut step = 0;
        let mut rollbacks = 0;
        if let Some(SavedState { tensors, step: saved, rollbacks: before }) = states.load(self.events)? {
            checkpoint::copy_into(&state, &tensors, Path::new(&self.stage.name))?;
            step = saved;
            rollbacks = before;
        }
        self.folder.rewind_log(&self.stage.name, step)?;
        Guard::new(state, step, rollbacks)
    }
}

/// The figures of a line of metrics that progress shows: the loss with its unit, and the accuracy if there is one.
fn shown(line: &Value, unit: &str) -> Map<String, Value> {
    let mut figures = Map::new();
    figures.insert(format!("{LOSS} ({unit})"), line[LOSS].clone());
    if let Some(accuracy) = line.get(ACCURACY) {
        figures.insert(ACCURACY.into(), accuracy.clone());
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_the_unit_of_the_loss_and_shows_the_accuracy() {
        let figures = shown(&json!({"loss": 136.9, "accuracy": 0.5, "lr": 0.1}), "squared error, summed over a row");
        let names: Vec<&String> = figures.keys().collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(figures["loss (squared error, summed over a row)"], 136.9);
        assert_eq!(figures["accuracy"], 0.5);
        assert_eq!(shown(&json!({"loss": 1.0}), "nats").len(), 1, "no accuracy is invented");
    }
}
