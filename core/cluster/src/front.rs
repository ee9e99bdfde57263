//! A process of `anyflow work`, which does shards of one job and has an engine of its own. A plugin that crashes ends that
//! engine, never the executor.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyflow_plan::event::{Event, Fault};
use anyflow_plan::frame::{FrameWriter, LONGEST_ORDER};
use anyflow_plan::order::{GivenShard, Order};
use serde_json::Value;
use tokio::sync::oneshot::{Receiver, Sender, channel};

use crate::error::{ClusterError, Result};

/// The most lines of a log that are kept for an error.
const TAIL: usize = 5;

/// What became of a shard that was given.
#[derive(Clone, Debug)]
pub enum FrontAnswer {
    /// It is committed, with so many good and failed rows.
    Done(u64, u64),
    /// The process ended before.
    Ended(End),
}

/// How the process ended.
#[derive(Clone, Debug)]
pub enum End {
    /// By an error that it told.
    Failed(Fault, String),
    /// It was killed.
    Killed,
}

/// The process, from outside.
#[derive(Debug)]
pub struct Front {
    /// Closed to stop the process.
    input: Mutex<Option<FrameWriter<ChildStdin>>>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<u64, Vec<Sender<FrontAnswer>>>,
    notes: Vec<String>,
    loads: u64,
    tail: Vec<String>,
    end: Option<End>,
}

impl Front {
    /// Starts the process.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(anyflow: &Path, order: &Order) -> Result<Front> {
        let mut command = Command::new(anyflow);
        command.args(["--json", "work"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let missing = |error| ClusterError::Usage(format!("{}: {error}", anyflow.display()));
        let mut child = command.spawn().map_err(missing)?;
        let pipe = || ClusterError::internal("a process has no pipes");
        let mut input = FrameWriter::new(child.stdin.take().ok_or_else(pipe)?, LONGEST_ORDER);
        let events = child.stderr.take().ok_or_else(pipe)?;
        // A process that ends early says why when it exits.
        let _ = input.write(order);
        let state = Arc::new(Mutex::new(State::default()));
        let heard = state.clone();
        let listen = move || listen(child, events, &heard);
        std::thread::Builder::new().name("front".into()).spawn(listen).map_err(ClusterError::internal)?;
        Ok(Front { input: Mutex::new(Some(input)), state })
    }

    /// Gives a shard.
    pub fn give(&self, shard: u64) -> Receiver<FrontAnswer> {
        let (sender, receiver) = channel();
        {
            let mut state = locked(&self.state);
            if let Some(end) = &state.end {
                let _ = sender.send(FrontAnswer::Ended(end.clone()));
                return receiver;
            }
            state.waiting.entry(shard).or_default().push(sender);
        }
        self.write(Some(GivenShard { shard, last_death: None }));
        receiver
    }

    /// Says that no more shards come. The process lets go of its part when those that it has are done.
    pub fn end(&self) {
        self.write(None);
    }

    /// Stops the process.
    pub fn stop(&self) {
        locked(&self.input).take();
    }

    /// True if the process has ended.
    pub fn has_ended(&self) -> bool {
        locked(&self.state).end.is_some()
    }

    /// How often it has loaded the model.
    pub fn loads(&self) -> u64 {
        locked(&self.state).loads
    }

    /// The messages since the last call.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut locked(&self.state).notes)
    }

    fn write(&self, given: Option<GivenShard>) {
        if let Some(input) = locked(&self.input).as_mut() {
            // A process that has ended is noticed by the thread that listens.
            let _ = input.write(&given);
        }
    }
}

impl State {
    fn event(&mut self, event: Event) {
        match event {
            Event::Shard { shard, rows, failed } => {
                for waiting in self.waiting.remove(&shard).into_iter().flatten() {
                    let _ = waiting.send(FrontAnswer::Done(rows, failed));
                }
            }
            Event::Begin { part, .. } if part == "load" => self.loads += 1,
            Event::Note { text } => self.notes.push(text),
            _ => {}
        }
    }

    fn line(&mut self, line: String) {
        tracing::info!("{line}");
        if self.tail.len() == TAIL {
            self.tail.remove(0);
        }
        self.tail.push(line);
    }
}

/// Hears what the process says until it has ended.
fn listen(mut child: Child, events: ChildStderr, state: &Mutex<State>) {
    for line in BufReader::new(events).lines().map_while(std::io::Result::ok) {
        match serde_json::from_str::<Event>(&line) {
            Ok(event) => locked(state).event(event),
            Err(_) => locked(state).line(line),
        }
    }
    let mut answer = String::new();
    let _ = child.stdout.take().map(|mut out| out.read_to_string(&mut answer));
    let code = child.wait().ok().and_then(|status| status.code());
    let mut state = locked(state);
    let end = end(code, &answer, &state.tail);
    for waiting in std::mem::take(&mut state.waiting).into_values().flatten() {
        let _ = waiting.send(FrontAnswer::Ended(end.clone()));
    }
    state.end = Some(end);
}

/// How a process ended that printed this answer.
fn end(code: Option<i32>, answer: &str, tail: &[String]) -> End {
    let Some(code) = code else { return End::Killed };
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let fault = match code {
        2 => Fault::User,
        3 => Fault::Plugin,
        _ => Fault::Run,
    };
    let told = answer["error"]["message"].as_str().map(str::to_string);
    End::Failed(fault, told.unwrap_or_else(|| format!("`anyflow work` ended with code {code}: {}", tail.join("; "))))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
