//! One process of a job.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyflow_plan::event::Event;
use serde_json::Value;

/// Time for a job to end by itself when it is stopped.
const ENDING: Duration = Duration::from_secs(10);
/// The most bytes of a result, and of a line of events.
const LONGEST_RESULT: u64 = 1 << 24;
/// Codes of the end of an engine that says nothing about the job's files.
const LOST: [&str; 3] = ["engine.died", "engine.unproven", "interrupted"];

/// A process that runs a job. The end of its standard input stops it, so it ends with this program as well.
pub struct Attempt {
    child: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
}

/// How an attempt ended.
pub enum AttemptEnd {
    /// The job is done, with the result of `anyflow run --json`.
    Done(Value),
    /// The job failed.
    Failed {
        /// A stable code.
        code: String,
        /// The message.
        message: String,
    },
    /// The process ended without an outcome, for this reason.
    Lost(String),
}

impl Attempt {
    /// Starts a process.
    ///
    /// # Errors
    /// The system cannot start it.
    pub fn start(mut command: Command) -> std::io::Result<Arc<Attempt>> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let input = Mutex::new(child.stdin.take());
        Ok(Arc::new(Attempt { child: Mutex::new(child), input }))
    }

    /// Asks the process to end, and kills it if it does not.
    pub fn stop(self: &Arc<Self>) {
        if lock(&self.input).take().is_none() {
            return;
        }
        let own = self.clone();
        let kill = move || {
            std::thread::sleep(ENDING);
            // A process that has ended was waited for, so its id is not used again.
            let _ = lock(&own.child).kill();
        };
        if std::thread::Builder::new().name("job-end".into()).spawn(kill).is_err() {
            let _ = lock(&self.child).kill();
        }
    }

    /// Hears the events until the process has ended.
    pub fn end(&self, heard: impl FnMut(Event)) -> AttemptEnd {
        let (out, events) = {
            let mut child = lock(&self.child);
            (child.stdout.take(), child.stderr.take())
        };
        let (Some(out), Some(events)) = (out, events) else { return AttemptEnd::Lost("it has no output".into()) };
        let said = std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut said = Vec::new();
                // What cannot be read is missing below.
                let _ = out.take(LONGEST_RESULT).read_to_end(&mut said);
                said
            });
            hear(events, heard);
            reader.join().unwrap_or_default()
        });
        let status = loop {
            match lock(&self.child).try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(error) => return AttemptEnd::Lost(format!("its process cannot be waited for: {error}")),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        outcome(&said, status)
    }
}

/// Reads lines of events; other lines are the log of the process.
fn hear(events: impl Read, mut heard: impl FnMut(Event)) {
    let mut events = BufReader::new(events);
    loop {
        let mut line = Vec::new();
        match (&mut events).take(LONGEST_RESULT).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                if let Ok(event) = serde_json::from_slice(&line) {
                    heard(event);
                }
            }
        }
    }
}

fn outcome(said: &[u8], status: ExitStatus) -> AttemptEnd {
    let said: Value = serde_json::from_slice(said).unwrap_or_default();
    if status.success() && said["rows"].is_u64() {
        return AttemptEnd::Done(said);
    }
    let error = &said["error"];
    match (error["code"].as_str(), error["message"].as_str()) {
        (Some(code), Some(message)) if LOST.contains(&code) => AttemptEnd::Lost(first_line(message)),
        (Some(code), Some(message)) => AttemptEnd::Failed { code: code.into(), message: message.into() },
        _ => AttemptEnd::Lost(format!("its process ended without a result ({status})")),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
