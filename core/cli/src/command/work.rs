//! `anyflow work`: does shards of a job that another program gives, such as a worker of a cluster.

use std::sync::Arc;

use anyflow_plan::frame::{FrameReader, LONGEST_ORDER};
use anyflow_plan::order::{GivenShard, Order};
use serde_json::json;

use crate::attempts::death;
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};
use crate::given::GivenQueue;
use crate::order;
use crate::progress::Progress;
use crate::supervise::interrupt;

/// Arguments of `anyflow work`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Reads an order and shards as frames from the standard input, and reports events as lines of JSON on standard error. Ends
/// when the shards end. The end of the standard input stops the work: the program that gives it is gone.
///
/// # Errors
/// No order comes; the engine fails, or dies outside of any shard.
pub fn run(_args: &Args, console: &Console) -> Result<CommandResult> {
    let mut frames = FrameReader::new(std::io::stdin(), LONGEST_ORDER);
    let order: Option<Order> = frames.read().map_err(CliError::internal)?;
    let order = order.ok_or_else(|| CliError::Usage("no order comes on the standard input".into()))?;
    // The list of this machine, not that of whoever made the order.
    let order = Order { plugins_allowed: order::plugins_allowed()?, ..order };
    let given = Arc::new(GivenQueue::default());
    let gives = given.clone();
    let read = move || {
        while let Ok(Some(shard)) = frames.read::<Option<GivenShard>>() {
            gives.add(shard);
        }
        interrupt();
    };
    std::thread::Builder::new().name("given-shards".into()).spawn(read).map_err(CliError::internal)?;
    while given.wait() {
        let result = order::execute_giving(&order, given.for_engine(), &mut Progress::Given(given.clone()));
        given.ended();
        let failure = match result {
            Ok(_) => continue,
            Err(CliError::Engine(failure)) if order.max_attempts.is_some() => failure,
            Err(other) => return Err(other),
        };
        match death(&failure).filter(|death| given.died(death)) {
            Some(death) => console.warn(&format!("{death}; it is started again")),
            None => return Err(failure.into()),
        }
    }
    Ok(CommandResult::done("", json!({})))
}
