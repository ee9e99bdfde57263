//! Starts the engine, listens to it, and says what happened when it dies.

mod death;
mod interrupt;

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyflow_plan::event::{Event, Fault};
use serde_json::Value;

pub use death::Death;

use crate::progress::Progress;

/// Lines of the engine's log that are kept for the case of its death.
const TAIL_LINES: usize = 20;
/// Lines that wait to be shown.
const QUEUE: usize = 256;

/// Why the engine came to no result.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The user must install or build it.
    #[error("there is no engine at {}: {by}; build it with `cargo build`, or set ANYFLOW_ENGINE", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// Why there.
        by: &'static str,
    },
    /// The user must look at the machine.
    #[error("{}: the engine cannot be started ({source})", path.display())]
    Start {
        /// Its program.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// As the fault says.
    #[error("{text}")]
    Failed {
        /// Who must act.
        fault: Fault,
        /// The engine's own words.
        text: String,
    },
    /// Most often the plugin's author must act.
    #[error(transparent)]
    Died(Box<Death>),
    /// The user wanted it so.
    #[error("stopped; nothing committed is lost, the same command resumes")]
    Interrupted,
}

impl EngineError {
    /// See [`crate::error::CliError::exit_code`].
    pub fn exit_code(&self) -> u8 {
        match self {
            EngineError::Failed { fault, .. } => fault.exit_code(),
            EngineError::Died(death) => death.exit_code(),
            EngineError::Missing { .. } | EngineError::Start { .. } | EngineError::Interrupted => 1,
        }
    }

    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            EngineError::Missing { .. } => "engine.missing",
            EngineError::Start { .. } => "engine.start",
            EngineError::Failed { fault: Fault::Run, .. } => "run",
            EngineError::Failed { fault: Fault::User, .. } => "user",
            EngineError::Failed { fault: Fault::Plugin, .. } => "plugin",
            EngineError::Failed { fault: Fault::Internal, .. } => "internal",
            EngineError::Died(_) => "engine.died",
            EngineError::Interrupted => "interrupted",
        }
    }
}

/// A line from either of the engine's streams; `None` when the stream ends.
enum Line {
    Out(Option<String>),
    Err(Option<String>),
}

/// What was heard from the engine so far.
#[derive(Default)]
struct Heard {
    end: Option<Result<Value, EngineError>>,
    entered: Option<(String, Option<String>)>,
    tail: VecDeque<String>,
    tail_shown: bool,
}

/// Runs the engine to its end and shows its progress.
///
/// # Errors
/// [`EngineError`]: it could not start, said that it failed, died, or was stopped.
pub fn supervise(mut command: Command, progress: &mut Progress) -> Result<Value, EngineError> {
    let program = PathBuf::from(command.get_program());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    interrupt::own_group(&mut command);
    let mut child = command.spawn().map_err(|source| EngineError::Start { path: program.clone(), source })?;
    let guard = interrupt::watch(child.id());
    let heard = listen(&mut child, progress);
    let status = child.wait();
    progress.clear();
    let interrupted = guard.interrupted();
    drop(guard);
    let heard = heard.map_err(|source| EngineError::Start { path: program.clone(), source })?;
    let status = status.map_err(|source| EngineError::Start { path: program, source })?;
    conclude(heard, status, interrupted)
}

fn conclude(heard: Heard, status: ExitStatus, interrupted: bool) -> Result<Value, EngineError> {
    match heard.end {
        // What it said before a death at exit holds: its result is committed.
        Some(end) => end,
        None if interrupted => Err(EngineError::Interrupted),
        None => {
            let (node, plugin) = heard.entered.map_or((None, None), |(node, plugin)| (Some(node), plugin));
            let tail = heard.tail.into();
            Err(EngineError::Died(Box::new(Death::new(status, node, plugin, tail, heard.tail_shown))))
        }
    }
}

fn listen(child: &mut Child, progress: &mut Progress) -> std::io::Result<Heard> {
    // Bounded: an engine that floods its log waits for the screen.
    let (sender, lines) = sync_channel(QUEUE);
    if let Some(out) = child.stdout.take() {
        forward("engine-events", out, sender.clone(), Line::Out)?;
    }
    if let Some(err) = child.stderr.take() {
        forward("engine-log", err, sender, Line::Err)?;
    }
    Ok(hear(&lines, progress))
}

fn hear(lines: &Receiver<Line>, progress: &mut Progress) -> Heard {
    let mut heard = Heard::default();
    let mut open = 2;
    while open > 0 {
        match lines.recv() {
            Ok(Line::Out(Some(line))) => heard.output(&line, progress),
            Ok(Line::Err(Some(line))) => heard.log(line, progress),
            Ok(Line::Out(None) | Line::Err(None)) => open -= 1,
            Err(_) => break,
        }
    }
    heard
}

impl Heard {
    fn output(&mut self, line: &str, progress: &mut Progress) {
        let (stray, event) = event_from_line(line);
        if !stray.trim().is_empty() {
            self.log(stray.to_string(), progress);
        }
        let Some(event) = event else { return };
        progress.event(&event);
        match event {
            Event::Enter { node, plugin } => self.entered = Some((node, plugin)),
            Event::Failed { fault, text } => self.end = Some(Err(EngineError::Failed { fault, text })),
            Event::Done { result } => self.end = Some(Ok(result)),
            Event::Begin { .. }
            | Event::Progress { .. }
            | Event::End { .. }
            | Event::Note { .. }
            | Event::Checked(_) => {}
        }
    }

    fn log(&mut self, line: String, progress: &mut Progress) {
        self.tail_shown = progress.log(&line);
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

/// The event of a line, and what stands before it: a plugin may print to standard output without ending its line.
fn event_from_line(line: &str) -> (&str, Option<Event>) {
    for (at, _) in line.match_indices("{\"event\":") {
        if let Ok(event) = serde_json::from_str(&line[at..]) {
            return (&line[..at], Some(event));
        }
    }
    (line, None)
}

fn forward(
    name: &str,
    stream: impl Read + Send + 'static,
    to: SyncSender<Line>,
    line: fn(Option<String>) -> Line,
) -> std::io::Result<()> {
    let read = move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_string();
            bytes.clear();
            if to.send(line(Some(text))).is_err() {
                return;
            }
        }
        let _ = to.send(line(None));
    };
    std::thread::Builder::new().name(name.into()).spawn(read).map(drop)
}

#[cfg(all(test, unix))]
mod tests;
