//! The maximum number of rows per network call. It is measured once per job, unless the job has too few rows to gain from
//! it, and kept in the job's folder, so that an interrupted job resumes with the same batches, hence the same bits.

use anyflow_datasets::OutputDir;
use anyflow_diffusion::EngineHandle;
use anyflow_plan::order::Order;
use anyflow_plan::plan::RunPlan;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::events::{Events, figures};
use crate::{Result, RunError};

const FILE: &str = "batch.json";
/// The largest measured batch.
const MOST_ROWS: usize = 4096;
/// So many rows are sampled in less time than a measurement takes.
const FEW_ROWS: u64 = 4;
/// Network rows per sampled row, at most: guidance calls the network for several branches.
const BRANCHES: u64 = 4;

/// The entry of a denoiser.
#[derive(Debug, Deserialize, Serialize)]
struct Cap {
    /// Maximum rows per network call.
    rows: usize,
    /// Measurements: rows per call, and rows per second at that size.
    rates: Vec<(usize, f64)>,
}

/// Where a batch size comes from, and who learns of it.
pub struct Settling<'a> {
    /// The engine that gets the batch sizes.
    pub engine: &'a EngineHandle,
    /// Names the denoisers.
    pub plan: &'a RunPlan,
    /// May state the batch size.
    pub order: &'a Order,
    /// Rows that the job will sample.
    pub rows: u64,
    /// Keeps the batch sizes.
    pub output: &'a OutputDir,
    /// Shows them.
    pub events: &'a Events,
}

/// Sets the batch size of each denoiser of the plan: the order's value, or the one in the folder, or a new measurement.
///
/// # Errors
/// A denoiser fails on a single row; the folder cannot be read or written.
pub fn settle(settling: &Settling<'_>) -> Result<()> {
    let Settling { engine, plan, order, rows: left, output, events } = *settling;
    let mut caps: IndexMap<String, Cap> = match output.read(FILE)? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| RunError::io(&output.path().join(FILE))(e.into()))?,
        None => IndexMap::new(),
    };
    let denoisers = plan.steps.iter().filter_map(|step| Some(&step.op.diffusion()?.denoiser));
    for denoiser in denoisers {
        if !caps.contains_key(denoiser) {
            let cap = match order.batch_rows {
                Some(rows) => Cap { rows: rows as usize, rates: Vec::new() },
                None if left <= FEW_ROWS => Cap { rows: (FEW_ROWS * BRANCHES) as usize, rates: Vec::new() },
                None => {
                    let most = MOST_ROWS.min(left.saturating_mul(BRANCHES) as usize);
                    let profile = engine.profile(denoiser, most).map_err(RunError::diffusion(denoiser))?;
                    Cap { rows: profile.cap, rates: profile.rates }
                }
            };
            caps.insert(denoiser.clone(), cap);
            let text = serde_json::to_vec_pretty(&caps).map_err(|e| RunError::Internal(e.to_string()))?;
            output.write(FILE, &text)?;
        }
        let rows = caps[denoiser].rows;
        engine.set_max_batch_rows(denoiser, rows).map_err(RunError::diffusion(denoiser))?;
        tracing::info!(denoiser, rows, "maximum rows per network call");
        events.end(&format!("batch {denoiser}"), figures([("rows", rows.into())]));
    }
    Ok(())
}
