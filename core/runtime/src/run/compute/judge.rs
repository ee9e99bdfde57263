//! Classification by trained scorers, and the features that they compute.

use anyflow_plan::plan::{Op, Step};
use tch::Device;

use super::module::finite_rows;
use super::{Compute, MicroBatch, value};
use crate::run::decode::class_cells;
use crate::{Result, RunError};

impl Compute<'_> {
    /// Scores rows: the index of the best class, the log-probability of each class, and the features.
    pub(super) fn judge(&self, batch: &mut MicroBatch, step: &Step) -> Result<()> {
        let Op::Judge { from, names, label, scores, features } = &step.op else {
            return Err(RunError::Internal(format!("step {} has no scorer", step.node)));
        };
        let component = self.plan.scorers.get(&step.node).and_then(|scorer| scorer.module.as_ref());
        self.events.enter(&step.node, component.map(|component| component.plugin.as_str()));
        let array = value(batch, from)?.f_to_device(self.networks.device)?;
        if let Some(features) = features {
            let array = array.shallow_clone();
            let none = RunError::Internal(format!("the scorer of {} has no features", step.node));
            let made = self.networks.on_judge(&step.node, move |judge| judge.features(&array)?.ok_or(none))?;
            let made = finite_rows(batch, step, component.map_or("", |component| component.id.as_str()), made)?;
            batch.values.insert(features.clone(), made.f_to_device(Device::Cpu)?);
        }
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
