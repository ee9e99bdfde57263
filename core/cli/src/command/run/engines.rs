//! Several engines of one machine over one job, each with a part of its shards.

use std::thread::ScopedJoinHandle;

use anyflow_datasets::{MANIFEST_FILE, is_there};
use anyflow_plan::order::{Order, ShardShare, Share};
use serde_json::{Value, json};

use super::super::finish;
use super::Args;
use crate::attempts;
use crate::console::{CommandResult, Console};
use crate::error::{CliError, Result};
use crate::order;
use crate::progress::Progress;

/// The device of each engine: those that `--device` lists, or one for all `--engines`.
///
/// # Errors
/// Devices of several kinds, whose rows would differ in their bits; more engines than one on listed devices; no `--batch-rows`,
/// without which each engine would measure its own.
pub fn devices(args: &Args) -> Result<Vec<String>> {
    let listed: Vec<String> = args.device.split(',').map(|device| device.trim().to_string()).collect();
    let refuse = |text: &str| Err(CliError::Usage(text.into()));
    let kind = |device: &str| device.split(':').next().map(str::to_string);
    let devices = match args.engines {
        Some(engines) if listed.len() == 1 => vec![args.device.clone(); engines as usize],
        Some(engines) if engines as usize != listed.len() => {
            return refuse("--engines and --device name different numbers of engines; leave --engines out");
        }
        _ => listed,
    };
    if devices.iter().any(|device| kind(device) != kind(&devices[0])) {
        return refuse(
            "--device lists devices of several kinds, whose rows differ in their bits; name devices of one kind",
        );
    }
    if devices.len() > 1 && args.batch_rows.is_none() {
        return refuse("several engines need --batch-rows N, so that all of them have the same batches");
    }
    if devices.len() > 1 && (args.shards.is_some() || args.trace.is_some() || !args.sweep.is_empty()) {
        return refuse(
            "several engines cannot be combined with --shards, --sweep or --trace; start one command for each device",
        );
    }
    Ok(devices)
}

/// Runs an order with an engine for each device, and makes one output of their parts.
///
/// # Errors
/// The first error of an engine, after all have ended; errors of `anyflow finish`.
pub fn run(args: &Args, order: &Order, devices: &[String], console: &Console) -> Result<CommandResult> {
    if is_there(&args.output.join(MANIFEST_FILE))? {
        // One engine compares the job with the one that is finished.
        order::execute(order, &mut Progress::new(console))?;
    } else {
        each(args, order, devices, console)?;
    }
    let mut finished = finish::gathered(&args.output)?;
    finished.json["engines"] = json!(devices);
    Ok(finished)
}

fn each(args: &Args, order: &Order, devices: &[String], console: &Console) -> Result<()> {
    let of = devices.len() as u64;
    let part = |(index, device): (usize, &String)| {
        let share = ShardShare { index: index as u64 + 1, of };
        let output = order::absolute(&super::folder_of(&args.output, Some(share)))?;
        Ok(Order { share: Some(Share::Range(share)), output, device: device.clone(), ..order.clone() })
    };
    let orders = devices.iter().enumerate().map(part).collect::<Result<Vec<Order>>>()?;
    let run = |order: &Order| {
        let part = order.share.as_ref().map(Share::name).unwrap_or_default();
        let label = format!("engine {part} on {}", order.device);
        attempts::execute(order, console, || Progress::labelled(console, &label))
    };
    let run = &run;
    let results: Vec<Result<Value>> = std::thread::scope(|scope| {
        let engines: Vec<ScopedJoinHandle<'_, Result<Value>>> =
            orders.iter().map(|order| scope.spawn(move || run(order))).collect();
        let panicked = |_| Err(CliError::internal("the thread of an engine panicked"));
        engines.into_iter().map(|engine| engine.join().unwrap_or_else(panicked)).collect()
    });
    results.into_iter().collect::<Result<Vec<Value>>>().map(drop)
}

/// The threads of each of several engines: as asked, else an equal share of the cores.
pub fn threads(asked: Option<u32>, engines: usize) -> u32 {
    asked.unwrap_or_else(|| (order::threads(None) / u32::try_from(engines).unwrap_or(u32::MAX)).max(1))
}
