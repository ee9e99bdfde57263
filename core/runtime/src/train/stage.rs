//! One stage: its loop, its saved state, its metrics.

use std::time::{Duration, Instant};

use anyflow_plan::plan::{Stage, Trained};
use serde_json::{Map, Value, json};
use tch::Tensor;

use super::Trainee;
use super::data::TableData;
use super::draw::Draws;
use super::folder::Folder;
use super::objective::{Objective, Prepared, encode_all};
use super::optimizer::Optimizer;
use crate::checkpoint;
use crate::events::Events;
use crate::session::typed;
use crate::{Result, RunError};

/// The state is saved after so many steps, or so much time: what comes first.
const SAVE_STEPS: u64 = 500;
const SAVE_EVERY: Duration = Duration::from_secs(30);
/// Steps between two lines of metrics.
const LOG_EVERY: u64 = 50;
/// Smallest deviation of a latent's coordinate: a constant one stays finite when standardised.
const LEAST_DEVIATION: f64 = 1e-4;

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
    pub folder: &'a Folder,
    /// Where progress goes.
    pub events: &'a Events,
}

impl StageRun<'_> {
    /// Runs the stage from its saved state, or from the start.
    ///
    /// # Errors
    /// Plugins, disk, or a loss that is no longer a number.
    pub fn run(&self) -> Result<Value> {
        let objective: Objective = typed(&self.stage.objective)?;
        if let (Objective::Statistics {}, Trained::Statistics) = (&objective, &self.stage.train) {
            return self.statistics();
        }
        let prepared = Prepared::new(objective, &self.stage.train, self.trainee, self.data)?;
        let parameters = self.parameters()?;
        let weights = parameters.iter().map(|(_, t)| t.numel()).sum::<usize>();
        let mut optimizer =
            Optimizer::new(typed(&self.stage.optimizer)?, self.stage.steps, self.stage.ema, parameters)?;
        let start = self.resume(&optimizer)?;
        let name = &self.stage.name;
        self.events.begin(name, Some(self.stage.steps), "steps", start);
        // Each stage draws from a seed of its own, and each step of it from (seed, step).
        let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(self.index as u64);
        let mut draws = Draws::new(self.data.rows(), self.stage.batch, seed);
        let (mut saved, started) = (Instant::now(), Instant::now());
        let mut recent = Recent::default();
        for step in start..self.stage.steps {
            let _span = tracing::info_span!("step", stage = name, step).entered();
            crate::seed_libtorch(seed.wrapping_add(step << 20));
            let tuples = draws.step(self.data, step);
            let (loss, figures) = prepared.loss(&self.stage.train, self.trainee, self.data, &tuples, (seed, step))?;
            let value = loss.f_double_value(&[])?;
            if !value.is_finite() {
                return Err(self.diverged(step, value));
            }
            let norm = optimizer.step(&loss, step)?;
            recent.add(value, norm, figures);
            let done = step + 1;
            if done % LOG_EVERY == 0 || done == self.stage.steps {
                let line = recent.take(name, done, optimizer.learning_rate(step), started.elapsed());
                self.folder.log(&line)?;
                let mut shown = Map::new();
                shown.insert("loss".into(), line["loss"].clone());
                self.events.progress(name, done, shown);
            }
            if done % SAVE_STEPS == 0 || saved.elapsed() > SAVE_EVERY {
                self.folder.save_state(self.index, name, &optimizer.state(), done)?;
                saved = Instant::now();
            }
        }
        optimizer.settle()?;
        let result = json!({ "loss": recent.last, "weights": weights });
        self.events.end(name, result.as_object().cloned().unwrap_or_default());
        Ok(result)
    }

    fn resume(&self, optimizer: &Optimizer) -> Result<u64> {
        let start = match self.folder.load_state(self.index, &self.stage.name)? {
            Some((tensors, step)) => {
                let path = std::path::Path::new(&self.stage.name);
                checkpoint::copy_into(&optimizer.state(), &tensors, path)?;
                step
            }
            None => 0,
        };
        self.folder.rewind_log(&self.stage.name, start)?;
        Ok(start)
    }

    fn parameters(&self) -> Result<Vec<(String, Tensor)>> {
        let module = match &self.stage.train {
            Trained::Denoiser(name) => return Ok(self.trainee.session.denoisers[name].parameters()),
            Trained::Stream(name) => &self.trainee.session.streams[name].module,
            Trained::Scorer(name) => &self.trainee.scorers[name].module,
            Trained::Statistics => &None,
        };
        let module = module.as_ref().ok_or_else(|| {
            RunError::Internal(format!("stage {} trains something that has no module", self.stage.name))
        })?;
        Ok(module.parameters()?.into_iter().filter(|p| p.trainable).map(|p| (p.name, p.tensor)).collect())
    }

    /// Mean and deviation of each coordinate of each stream's latent, over all rows.
    fn statistics(&self) -> Result<Value> {
        let _no_grad = tch::no_grad_guard();
        let mut result = Map::new();
        for stream in self.data.streams() {
            let net = &self.trainee.session.streams[stream];
            let latents = encode_all(self.trainee, self.data, stream)?;
            let mean = latents.f_mean_dim([0i64].as_slice(), false, tch::Kind::Float)?;
            let deviation = latents.f_std_dim([0i64].as_slice(), false, false)?.f_clamp_min(LEAST_DEVIATION)?;
            net.mean.shallow_clone().f_copy_(&mean)?;
            net.deviation.shallow_clone().f_copy_(&deviation)?;
            let typical = deviation.f_mean(tch::Kind::Float)?.f_double_value(&[])?;
            result.insert(stream.clone(), json!({ "rows": latents.size()[0], "mean_deviation": typical }));
        }
        Ok(Value::Object(result))
    }

    fn diverged(&self, step: u64, loss: f64) -> RunError {
        let hint = "lower the learning rate, or set `clip`; the last saved state is kept".to_string();
        RunError::Diverged { stage: self.stage.name.clone(), step, loss, hint }
    }
}

/// Means over the steps since the last line of metrics.
#[derive(Default)]
struct Recent {
    steps: f64,
    loss: f64,
    norm: f64,
    figures: Map<String, Value>,
    last: f64,
}

impl Recent {
    fn add(&mut self, loss: f64, norm: f64, figures: Vec<(String, f64)>) {
        self.steps += 1.0;
        self.loss += loss;
        self.norm += norm;
        for (name, value) in figures {
            let sum = self.figures.get(&name).and_then(Value::as_f64).unwrap_or(0.0) + value;
            self.figures.insert(name, sum.into());
        }
    }

    fn take(&mut self, stage: &str, step: u64, lr: f64, elapsed: Duration) -> Value {
        let recent = std::mem::take(self);
        self.last = recent.loss / recent.steps;
        let mut line = json!({
            "stage": stage,
            "step": step,
            "loss": self.last,
            "gradient_norm": recent.norm / recent.steps,
            "lr": lr,
            "seconds": elapsed.as_secs_f64(),
        });
        for (name, sum) in recent.figures {
            line[name] = (sum.as_f64().unwrap_or(f64::NAN) / recent.steps).into();
        }
        line
    }
}
