//! The part of a pipeline that follows from one step.

use indexmap::IndexMap;

use crate::lower::lifetimes::set_last_uses;
use crate::plan::RunPlan;

/// The steps and outputs that depend on the values of one step alone, without further diffusion, as a plan without inputs.
/// Its first values are those that the step makes. `None` if no output does. So a preview of a diffusion is a run of this
/// plan.
pub fn after(plan: &RunPlan, step: usize) -> Option<RunPlan> {
    let first = plan.steps.get(step)?;
    let mut known = first.op.makes();
    let mut steps = Vec::new();
    for step in plan.steps.iter().skip(step + 1) {
        if step.op.diffusion().is_none() && step.op.reads().iter().all(|id| known.contains(id)) {
            known.extend(step.op.makes());
            steps.push(step.clone());
        }
    }
    let outputs = plan.outputs.iter().filter(|(_, id)| known.contains(&id.as_str()));
    let outputs: IndexMap<_, _> = outputs.map(|(name, id)| (name.clone(), id.clone())).collect();
    if outputs.is_empty() {
        return None;
    }
    let values = plan.values.iter().filter(|(id, _)| known.contains(&id.as_str()));
    let mut values: IndexMap<_, _> = values.map(|(id, value)| (id.clone(), value.clone())).collect();
    for (id, value) in &mut values {
        value.made_by = steps.iter().position(|step| step.op.makes().contains(&id.as_str()));
        value.last_use = None;
    }
    set_last_uses(&mut values, &steps);
    let inputs = IndexMap::new();
    Some(RunPlan { inputs, values, steps, outputs, ..plan.clone() })
}
