//! Training objectives. Each file holds one: what it prepares, the rows of its steps, and its loss. To add one, declare it
//! in `core/config/src/objective.rs`, write its file, and add its arm to [`prepare`].

mod augment;
mod classify;
mod contrast;
mod denoise;
mod reconstruct;
mod statistics;

use anyflow_config::{DenoiserObjective, Measurement, ModuleObjective, ScorerObjective, StreamObjective};
use anyflow_plan::plan::Trained;
use serde_json::Value;
use tch::Tensor;

use super::cache::LatentCache;
use super::frozen::Setting;
use crate::Result;
use crate::table::{RowNeeds, Tuples};
use classify::Classify;
use contrast::Contrast;
use denoise::Denoise;
use reconstruct::Reconstruct;

/// The name of the loss among a step's figures.
pub const LOSS: &str = "loss";
/// The name of the share of correctly classified or matched rows.
pub const ACCURACY: &str = "accuracy";

/// A training objective, ready to run.
pub trait Objective {
    /// Says what the loss is a sum or a mean of.
    fn unit(&self) -> &'static str;

    /// What a row must have to be used.
    fn needs(&self) -> RowNeeds;

    /// Gathers the rows of a step. Draws disturbances for all rows at once, from libtorch's generator, which the stage
    /// seeds at each step.
    ///
    /// # Errors
    /// Errors of plugins.
    fn gather(&mut self, tuples: &Tuples) -> Result<StepBatch>;

    /// Computes the loss of a part of a step's rows.
    ///
    /// # Errors
    /// Errors of plugins and engine.
    fn loss(&self, part: &BatchPart, key: StepKey) -> Result<StepLoss>;
}

/// The rows of a step. Network calls take parts of it.
#[derive(Default)]
pub struct StepBatch {
    /// The inputs of the objective, `[row, ...]` each.
    tensors: Vec<Tensor>,
    /// Per row, the inputs that it lacks, as a bit mask; empty if every row has every input.
    lacking: Vec<u64>,
}

/// Consecutive rows of a step.
pub struct BatchPart {
    /// Index of the first row in the step.
    first_row: usize,
    /// The inputs of the objective, `[row, ...]` each.
    tensors: Vec<Tensor>,
    /// See [`StepBatch`].
    lacking: Vec<u64>,
}

/// The key of all noise of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepKey {
    /// Seed of the stage.
    pub seed: u64,
    /// The step.
    pub step: u64,
}

/// The loss of a part of a step.
pub struct StepLoss {
    /// A scalar with gradient.
    pub loss: Tensor,
    /// Other figures for the metrics: scalars on the device.
    pub figures: Vec<(String, Tensor)>,
}

impl StepBatch {
    /// The rows `first_row..first_row + rows`.
    ///
    /// # Errors
    /// The rows are out of range, which is a bug.
    pub fn part(&self, first_row: usize, rows: usize) -> Result<BatchPart> {
        let narrow = |tensor: &Tensor| Ok(tensor.f_narrow(0, first_row as i64, rows as i64)?);
        let lacking = self.lacking.iter().skip(first_row).take(rows).copied().collect();
        Ok(BatchPart { first_row, tensors: self.tensors.iter().map(narrow).collect::<Result<_>>()?, lacking })
    }
}

/// The work of a stage.
pub enum Prepared<'a> {
    /// Steps that minimize an objective.
    Objective(Box<dyn Objective + 'a>),
    /// Nothing is left to do: what the stage measured, as a summary.
    Measured(Value),
}

impl<'a, O: Objective + 'a> From<O> for Prepared<'a> {
    fn from(objective: O) -> Self {
        Prepared::Objective(Box::new(objective))
    }
}

/// Prepares an objective: encodes the streams that it needs with their frozen encoders, or reads them from the cache. A
/// measurement is taken at once.
///
/// # Errors
/// Errors of plugins; the disk; a class of the table that the scorer does not have; a stream to measure that no row has.
pub fn prepare<'a>(trained: &'a Trained, setting: Setting<'a>, cache: &LatentCache<'_>) -> Result<Prepared<'a>> {
    Ok(match trained {
        Trained::Stream { name, objective: StreamObjective::Reconstruct(options) } => {
            Reconstruct::prepare(options, name, setting).into()
        }
        Trained::Denoiser { name, objective: DenoiserObjective::Denoise(options) } => {
            Denoise::prepare(options, name, setting, cache)?.into()
        }
        Trained::Modules { names, objective: ModuleObjective::Contrast(options) } => {
            Contrast::prepare(options, names, setting, cache)?.into()
        }
        Trained::Scorer { name, objective: ScorerObjective::Classify(options) } => {
            Classify::prepare(options, name, setting)?.into()
        }
        Trained::Nothing { objective: Measurement::Statistics(options) } => {
            Prepared::Measured(statistics::measure(options, setting, cache)?)
        }
    })
}
