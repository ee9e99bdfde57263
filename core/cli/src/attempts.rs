//! Starts an engine again that a shard has killed, for `--max-attempts`.

use std::path::Path;

use anyflow_datasets::{ShardAttempts, job_progress};
use anyflow_plan::event::Fault;
use anyflow_plan::order::Order;
use serde_json::Value;

use crate::console::Console;
use crate::error::{CliError, Result};
use crate::order;
use crate::progress::Progress;
use crate::supervise::EngineFailure;

/// Runs an order. If the order counts attempts, an engine that dies in a shard is started again, until each shard is committed
/// or given up.
///
/// # Errors
/// See [`order::execute`]; an engine that dies outside of any shard is not started again.
pub fn execute(order: &Order, console: &Console, progress: impl Fn() -> Progress) -> Result<Value> {
    let mut order = order.clone();
    loop {
        let before = tries(&order);
        let failure = match order::execute(&order, &mut progress()) {
            Err(CliError::Engine(failure)) if order.max_attempts.is_some() => failure,
            other => return other,
        };
        let after = tries(&order);
        // An engine that ends by itself takes its attempts back.
        let died_in_a_shard = !after.is_empty() && after != before;
        match death(&failure).filter(|_| died_in_a_shard) {
            Some(death) => {
                console.warn(&format!("{death}; it is started again"));
                order.last_death = Some(death);
            }
            None => return Err(failure.into()),
        }
    }
}

/// How the engine died; `None` for other failures.
pub fn death(failure: &EngineFailure) -> Option<String> {
    match failure {
        EngineFailure::Died(death) => Some(death.brief()),
        // A call that took too long ends the engine from inside.
        EngineFailure::Failed { fault: Fault::Plugin, text } => Some(text.clone()),
        _ => None,
    }
}

/// The attempts at shards of an output that are not committed. An output that cannot be read has none.
fn tries(order: &Order) -> Vec<ShardAttempts> {
    let parts = job_progress(Path::new(&order.output)).unwrap_or_default();
    parts.into_iter().flat_map(|part| part.tries).collect()
}
