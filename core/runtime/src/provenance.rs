//! The provenance of a finished run: hashes of the loaded files, versions, inputs and results.

use anyflow_datasets::{Content, OutputDir};
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use serde_json::{Value, json};

use crate::identity::{InputRows, Loaded};
use crate::{Result, RunError};

/// Its file in the output folder.
pub const FILE: &str = "run.json";

/// A finished run.
pub struct Provenance<'a> {
    /// Its plan.
    pub plan: &'a RunPlan,
    /// Its order.
    pub order: &'a Order,
    /// The loaded files.
    pub loaded: &'a Loaded,
    /// Its rows.
    pub input: &'a InputRows,
    /// Its result.
    pub result: &'a Value,
}

impl Provenance<'_> {
    /// Writes `run.json` into the output folder.
    ///
    /// # Errors
    /// The disk or the store.
    pub fn write(&self, output: &OutputDir) -> Result<()> {
        let Provenance { plan, order, loaded, input, result } = self;
        let when = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
        let provenance = json!({
            "pipeline": plan.source,
            "model": plan.model.source,
            "license": plan.model.license,
            "checkpoint": plan.model.checkpoint,
            "checkpoint_blake3": loaded.weights.get("checkpoint"),
            "plugins_blake3": loaded.plugins,
            "inputs": order.inputs,
            "inputs_blake3": input.content.as_ref().map(|content| &content.files),
            "linked_files_blake3": input.content.as_ref().and_then(Content::linked),
            "versions": crate::versions(),
            "device": order.device,
            "finished_unix": when,
            "result": result,
        });
        let text = serde_json::to_vec_pretty(&provenance).map_err(|e| RunError::Internal(e.to_string()))?;
        Ok(output.write(FILE, &text)?)
    }
}
