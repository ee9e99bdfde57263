//! The engine's connection to its front: events leave on a private descriptor, the order arrives on standard input, maybe
//! shards behind it, and the end of that pipe means that the front has ended.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use anyflow_plan::frame::{FrameError, FrameReader, LONGEST_ORDER};
use anyflow_plan::order::GivenShard;
use anyflow_plan::protocol::VERSION;
use crossbeam::channel::{Sender, bounded};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use serde::de::DeserializeOwned;

use crate::run::GivenShards;
use crate::{Result, RunError, process};

/// The argument for an order on standard input.
const INPUT: &str = "-";

/// Shards that wait to be taken. A front gives one at a time, so that the end of its pipe is noticed at once.
const MOST_GIVEN: usize = 1024;

/// Takes standard output for the events. Afterwards, output that a plugin prints there goes to the log.
///
/// # Errors
/// The system has no descriptor left.
pub fn take_output() -> std::io::Result<File> {
    let events = private(stdout())?;
    dup2_stdout(stderr())?;
    Ok(events)
}

/// Reads an order from a file, or from the front, which may give shards behind it. An order from the front ties this process
/// and its group to the front: they end when it ends.
///
/// # Errors
/// [`RunError::Data`]: the order is of another release. [`RunError::Internal`]: it cannot be read or parsed.
pub fn order<T: DeserializeOwned>(from: &Path) -> Result<(T, GivenShards)> {
    let (give, given) = bounded(MOST_GIVEN);
    let named = |error: &dyn std::fmt::Display| RunError::Internal(format!("order {}: {error}", from.display()));
    if from != Path::new(INPUT) {
        let text = std::fs::read(from).map_err(|error| named(&error))?;
        let order: serde_json::Value = serde_json::from_slice(&text).map_err(|error| named(&error))?;
        let format = order.get("format").or_else(|| order.pointer("/plan/format"));
        let found = format.and_then(serde_json::Value::as_u64);
        if let Some(found) = found.filter(|found| *found != u64::from(VERSION)) {
            return Err(other_release(from, found));
        }
        return T::deserialize(order).map(|order| (order, given)).map_err(|error| named(&error));
    }
    process::end_with_parent();
    let input = private(stdin()).map_err(|error| named(&error))?;
    // A plugin that reads standard input finds nothing.
    File::open("/dev/null").and_then(|nothing| Ok(dup2_stdin(nothing)?)).map_err(|error| named(&error))?;
    let mut frames = FrameReader::new(input, LONGEST_ORDER);
    let read = frames.read().map_err(|error| match error {
        FrameError::Version { found, .. } => other_release(from, found),
        error => named(&error),
    });
    let Some(order) = read? else { process::end_group() };
    // The thread must run before a library is loaded: no thread can start while a library's constructor runs.
    let (is_ready, ready) = bounded(1);
    let wait = move || {
        let _ = is_ready.send(());
        wait(&mut frames, &give);
    };
    std::thread::Builder::new().name("front".into()).spawn(wait).map_err(|error| named(&error))?;
    let _ = ready.recv();
    Ok((order, given))
}

fn other_release(order: &Path, found: impl std::fmt::Display) -> RunError {
    RunError::Data(format!(
        "order {}: has version {found} of the protocol, but this engine has version {VERSION}; use `anyflow` and \
         `anyflow-engine` of the same release",
        order.display()
    ))
}

/// Passes on the shards that the front gives, until the end of the pipe that it holds.
fn wait(frames: &mut FrameReader<File>, give: &Sender<Option<GivenShard>>) {
    while let Ok(Some(given)) = frames.read::<Option<GivenShard>>() {
        // Nobody takes them once the run is over.
        let _ = give.send(given);
    }
    process::end_group()
}

/// Duplicates a descriptor to one above 2, so that plugins cannot reach it by number, and no child inherits it.
fn private(stream: impl AsFd) -> std::io::Result<File> {
    Ok(fcntl_dupfd_cloexec(stream, 3)?.into())
}
