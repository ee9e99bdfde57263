//! What a finished run says of itself: what it was made of, by the hashes of what was loaded.

use anyflow_datasets::Folder;
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use serde_json::{Value, json};

use crate::identity::{Input, Loaded};
use crate::{Result, RunError};

const FILE: &str = "run.json";

/// A run that is done.
pub struct Provenance<'a> {
    /// Its plan.
    pub plan: &'a RunPlan,
    /// Its order.
    pub order: &'a Order,
    /// What it worked with.
    pub loaded: &'a Loaded,
    /// Its rows.
    pub input: &'a Input,
    /// What it came to.
    pub result: &'a Value,
}

impl Provenance<'_> {
    /// Writes it into the folder of the output.
    ///
    /// # Errors
    /// Disk.
    pub fn write(&self, folder: &Folder) -> Result<()> {
        let Provenance { plan, order, loaded, input, result } = self;
        let when = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let provenance = json!({
            "pipeline": plan.source,
            "model": plan.model.source,
            "checkpoint": plan.model.checkpoint,
            "checkpoint_blake3": loaded.weights.get("checkpoint"),
            "plugins_blake3": loaded.plugins,
            "inputs": order.inputs,
            "inputs_blake3": input.content,
            "versions": crate::versions(),
            "device": order.device,
            "finished_unix": when,
            "result": result,
        });
        let text = serde_json::to_vec_pretty(&provenance).map_err(|e| RunError::Internal(e.to_string()))?;
        Ok(folder.write(FILE, &text)?)
    }
}
