//! Classification by trained scorers.

use anyflow_plan::plan::{Op, Step};
use tch::Device;

use super::module::finite_rows;
use super::{Compute, MicroBatch, value};
use crate::run::decode::class_cells;
use crate::{Result, RunError};

impl Compute<'_> {
    /// Scores rows: the index of the best class, and the log-probability of each class.
    pub(super) fn judge(&self, batch: &mut MicroBatch, step: &Step) -> Result<()> {
        let Op::Judge { from, names, label, scores } = &step.op else {
            return Err(RunError::Internal(format!("step {} has no scorer", step.node)));
        };
        let component = self.plan.scorers.get(&step.node).and_then(|scorer| scorer.module.as_ref());
        self.events.enter(&step.node, component.map(|component| component.plugin.as_str()));
        let array = value(batch, from)?.f_to_device(self.networks.device)?;
        let made = self.networks.on_judge(&step.node, move |judge| judge.log_probabilities(&array))?;
        let made = finite_rows(batch, step, component.map_or("", |component| component.id.as_str()), made)?;
        let made = made.f_to_device(Device::Cpu)?;
        if let Some(label) = label {
            let best = made.f_argmax(-1, false)?;
            if self.is_read(label) {
                batch.cells.insert(label.clone(), class_cells(names, &best)?);
            }
            batch.values.insert(label.clone(), best);
        }
        if let Some(scores) = scores {
            batch.values.insert(scores.clone(), made);
        }
        Ok(())
    }
}
