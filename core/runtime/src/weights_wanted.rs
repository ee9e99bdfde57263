//! Lists the weights that a model wants.

use anyflow_plan::order::WeightsOrder;
use anyflow_plan::plan::Checkpoint;
use serde_json::{Map, Value, json};

use crate::Result;
use crate::plugin::allow_only;
use crate::session::Session;

/// Makes the model without weights and returns `tensors`, name -> shape, and `optional`, the names of those that published files
/// need not hold. No weights file is read.
///
/// # Errors
/// Errors of plugins and engine.
pub fn list(order: &WeightsOrder) -> Result<Value> {
    if let Some(hashes) = &order.plugins_allowed {
        allow_only(hashes.iter().cloned());
    }
    let wanted = Session::dry(&order.model)?.wanted()?;
    let is_whole = matches!(order.model.checkpoint, Some(Checkpoint::File(_)));
    let optional: Vec<&String> =
        wanted.iter().filter(|wanted| wanted.is_optional && !is_whole).map(|wanted| &wanted.name).collect();
    let tensors: Map<String, Value> = wanted.iter().map(|wanted| (wanted.name.clone(), json!(wanted.shape))).collect();
    Ok(json!({"tensors": tensors, "optional": optional}))
}
