//! The engine's ties to its front: events go out on a descriptor of their own, the order comes in on standard input, and
//! the end of that pipe says that the front is gone.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::path::Path;

use anyflow_plan::frame::{LONGEST_ORDER, Reader};
use crossbeam::channel::bounded;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout};
use serde::de::DeserializeOwned;

use crate::process;

/// The argument that stands for an order on standard input.
const INPUT: &str = "-";

/// Takes standard output for the events. From now on, what a plugin prints there is log.
///
/// # Errors
/// The system has no descriptor left.
pub fn take_output() -> std::io::Result<File> {
    let events = private(stdout())?;
    dup2_stdout(stderr())?;
    Ok(events)
}

/// Reads an order from a file, or from the front. The front's end ends this process from then on, with its whole group.
///
/// # Errors
/// It cannot be read, or is not understood.
pub fn order<T: DeserializeOwned>(from: &Path) -> Result<T, String> {
    let told = |error: &dyn std::fmt::Display| format!("order {}: {error}", from.display());
    if from != Path::new(INPUT) {
        let text = std::fs::read(from).map_err(|error| told(&error))?;
        return serde_json::from_slice(&text).map_err(|error| told(&error));
    }
    process::end_with_parent();
    let input = private(stdin()).map_err(|error| told(&error))?;
    // A plugin that reads standard input finds nothing.
    File::open("/dev/null").and_then(|nothing| Ok(dup2_stdin(nothing)?)).map_err(|error| told(&error))?;
    let mut frames = Reader::new(input, LONGEST_ORDER);
    let Some(order) = frames.read().map_err(|error| told(&error))? else { process::end_group() };
    let mut input = frames.into_inner();
    // The thread must have begun before a library is loaded: none can begin while a constructor runs.
    let (tell, ready) = bounded(1);
    let wait = move || {
        let _ = tell.send(());
        wait(&mut input);
    };
    std::thread::Builder::new().name("front".into()).spawn(wait).map_err(|error| told(&error))?;
    let _ = ready.recv();
    Ok(order)
}

/// Waits for the end of the pipe that the front holds.
fn wait(input: &mut File) {
    let mut nothing = [0; 64];
    loop {
        match input.read(&mut nothing) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(count) if count > 0 => {}
            Ok(_) | Err(_) => process::end_group(),
        }
    }
}

/// A descriptor that no other program inherits, away from those that plugins know by number.
fn private(stream: impl AsFd) -> std::io::Result<File> {
    Ok(fcntl_dupfd_cloexec(stream, 3)?.into())
}
