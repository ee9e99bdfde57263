//! Executes an order.

use std::time::Duration;

use anyflow_plan::order::Order;
use anyflow_plan::plan::Job;
use serde_json::{Value, json};

use crate::events::Events;
use crate::plugin::{allow_only, watch};
use crate::run::GivenShards;
use crate::{LIBTORCH, Result, RunError, device, eval, process, run, train};

/// Executes the job of an order, with the shards that the front gives, and returns the value that `--json` prints.
///
/// # Errors
/// The error that ended the job; committed rows stay. A plugin call over the order's time limit ends the program.
pub fn execute(order: &Order, given: &GivenShards, events: &Events) -> Result<Value> {
    if let Some(bytes) = order.memory_bytes {
        anyflow_datasets::use_memory(bytes);
    }
    use_threads(order.threads);
    let device = device::open(&order.device)?;
    if let Some(hashes) = &order.plugins_allowed {
        allow_only(hashes.iter().cloned());
    }
    let limit = order.timeout_seconds.map(Duration::from_secs_f64);
    watch::over(
        limit,
        |late| give_up(late, events),
        || match &order.job {
            Job::Run(plan) => run::run(plan, order, given, device, events),
            Job::Train(plan) => train::train(plan, order, device, events),
            Job::Eval(plan) => eval::evaluate(plan, order, device, events),
        },
    )
}

/// Sets the number of threads inside libtorch.
pub(crate) fn use_threads(threads: u32) {
    tch::set_num_threads(threads.max(1) as i32);
    tch::set_num_interop_threads(1);
}

/// Ends the program while a plugin's call still runs, because a thread cannot be stopped from outside.
pub(crate) fn give_up(late: &RunError, events: &Events) {
    events.failed(late.fault(), late.to_string());
    process::end(late.fault().exit_code());
}

/// The versions of this program and of its libraries.
pub fn versions() -> Value {
    json!({
        "anyflow": env!("CARGO_PKG_VERSION"),
        "libtorch": LIBTORCH,
        "abi": [anyflow_abi::ABI_MAJOR, anyflow_abi::ABI_MINOR],
        "threads": tch::get_num_threads(),
        "cuda": device::cuda_libraries(),
    })
}
