//! Comparison of two prompts by a scorer of the model.

use anyflow_plan::plan::{Op, Step};
use tch::Device;

use super::{Compute, MicroBatch, value};
use crate::run::decode::class_cells;
use crate::scoring::cosines_of_rows;
use crate::{Result, RunError};

impl Compute<'_> {
    /// Scores rows: the cosine of two vectors, or of one with that of each class, times the factor of the scorer.
    pub(super) fn compare(&self, batch: &mut MicroBatch, step: &Step) -> Result<()> {
        let Op::Compare { scorer, from, against, classes, label, scores } = &step.op else {
            return Err(RunError::Internal(format!("step {} compares nothing", step.node)));
        };
        let vectors = value(batch, from)?;
        let cosines = match against {
            Some(against) => cosines_of_rows(vectors, value(batch, against)?)?,
            None => self.classes[&step.node].cosines(vectors)?,
        };
        let made = cosines.f_mul_scalar(self.factors[scorer])?.f_to_device(Device::Cpu)?;
        if let Some(label) = label {
            let best = made.f_argmax(-1, false)?;
            if self.is_read(label) {
                let names: Vec<String> = classes.keys().cloned().collect();
                batch.cells.insert(label.clone(), class_cells(&names, &best)?);
            }
            batch.values.insert(label.clone(), best);
        }
        if let Some(scores) = scores {
            batch.values.insert(scores.clone(), made);
        }
        Ok(())
    }
}
