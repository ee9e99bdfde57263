//! How many rows a network call has: measured once for a job and kept in its folder, so that a job that is interrupted
//! goes on with the same batches, and so with the same bits.

use anyflow_datasets::Folder;
use anyflow_diffusion::EngineHandle;
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Op, RunPlan};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::events::{Events, figures};
use crate::{Result, RunError};

const FILE: &str = "batch.json";
/// The largest batch that is tried.
const MOST_ROWS: usize = 4096;

/// What is kept of a denoiser.
#[derive(Debug, Deserialize, Serialize)]
struct Cap {
    /// Rows per network call at most.
    rows: usize,
    /// What was measured: rows, and rows per second of calls with so many.
    rates: Vec<(usize, f64)>,
}

/// Sets the batch sizes of the denoisers that a plan asks: what the order says, else what an earlier run of the job
/// found, else what is measured now.
///
/// # Errors
/// A denoiser fails on a single row, or the folder cannot be read or written.
pub fn settle(engine: &EngineHandle, plan: &RunPlan, order: &Order, folder: &Folder, events: &Events) -> Result<()> {
    let mut caps: IndexMap<String, Cap> = match folder.read(FILE)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| RunError::io(&folder.path().join(FILE))(e.into()))?,
        None => IndexMap::new(),
    };
    let asked = plan.steps.iter().filter_map(|step| match &step.op {
        Op::Diffuse { denoiser, .. } | Op::Score { denoiser, .. } => Some(denoiser),
        _ => None,
    });
    for denoiser in asked {
        if !caps.contains_key(denoiser) {
            let cap = match order.batch_rows {
                Some(rows) => Cap { rows: rows as usize, rates: Vec::new() },
                None => {
                    let profile = engine.profile(denoiser, MOST_ROWS).map_err(RunError::diffusion(denoiser))?;
                    Cap { rows: profile.cap, rates: profile.rates }
                }
            };
            caps.insert(denoiser.clone(), cap);
            let text = serde_json::to_vec_pretty(&caps).map_err(|e| RunError::Internal(e.to_string()))?;
            folder.write(FILE, &text)?;
        }
        let rows = caps[denoiser].rows;
        engine.set_max_batch_rows(denoiser, rows).map_err(RunError::diffusion(denoiser))?;
        tracing::info!(denoiser, rows, "rows per network call at most");
        events.end(&format!("batch {denoiser}"), figures([("rows", rows.into())]));
    }
    Ok(())
}
