//! The dataset features of the output columns.

use anyflow_datasets::{Feature, Features};
use anyflow_plan::order::{DRAW_COLUMN, Order};
use anyflow_plan::plan::{Form, RunPlan, Type};

use crate::{Result, RunError};

/// True if an input column passes through: no output has its name, and `--keep` names it, or is not given; or it counts draws.
pub fn passes(plan: &RunPlan, order: &Order, column: &String) -> bool {
    let kept = order.keep.as_ref().is_none_or(|keep| keep.contains(column));
    let is_draw = order.selection.draws > 1 && column == DRAW_COLUMN;
    (kept || is_draw) && !plan.outputs.contains_key(column)
}

/// Returns the features of all columns: the input columns that pass, and the outputs.
///
/// # Errors
/// An output is not a column.
pub fn features(plan: &RunPlan, passes: &dyn Fn(&String) -> bool, inputs: &Features) -> Result<Features> {
    let mut features = Features::default();
    for (name, feature) in inputs.iter().filter(|(name, _)| passes(name)) {
        features.0.insert(name.clone(), feature.clone());
    }
    for (name, id) in &plan.outputs {
        let passed = plan.inputs.get(id).and_then(|of| inputs.get(&of.column));
        let feature = match passed {
            Some(feature) => feature.clone(),
            None => feature_of(id, plan.values.get(id).map(|value| &value.kind))?,
        };
        features.0.insert(name.clone(), feature);
    }
    Ok(features)
}

/// The feature of a column of cells.
///
/// # Errors
/// `kind`, the type of value `name`, is not of cells.
pub fn feature_of(name: &str, kind: Option<&Type>) -> Result<Feature> {
    match kind.map(|kind| &kind.form) {
        Some(Form::Cells { feature, .. }) => Feature::declared(feature)
            .ok_or_else(|| RunError::Internal(format!("a codec declares the unknown feature {feature:?}"))),
        _ => Err(RunError::Internal(format!("value {name} does not hold cells"))),
    }
}
