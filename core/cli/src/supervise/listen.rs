//! What comes from the engine: events, log, and its end, each read by a thread of its own.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyflow_plan::event::{Event, Fault};
use anyflow_plan::frame::{FrameError, LONGEST_EVENT, Reader};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::Value;

use super::{interrupt, log};
use crate::progress::Progress;

/// Lines of the engine's log that are kept for the case of its death.
const TAIL_LINES: usize = 20;
/// Events and lines that wait to be shown. Bounded: an engine that floods its log waits for the screen.
const QUEUE: usize = 64;
/// How long an engine may take to end after its last word.
const ENDING: Duration = Duration::from_secs(10);
/// How long the streams of an engine that has ended may stay open: a child of it may hold them.
const DRAINING: Duration = Duration::from_secs(1);

/// Something from the engine.
enum Voice {
    Event(Event),
    /// No further event comes.
    EventsEnd(Result<(), FrameError>),
    Line(String),
    /// No further line comes.
    LogEnd(io::Result<()>),
    /// The process has ended and is not yet waited for, so that its number is still its own.
    Exited,
}

/// The threads that listen.
pub(super) struct Voices {
    heard: Receiver<Voice>,
    /// It ends with the pipe that says that this program lives, and must be held as long.
    _order: JoinHandle<Option<ChildStdin>>,
}

/// What was heard from the engine.
#[derive(Default)]
pub(super) struct Heard {
    /// Its last word.
    pub end: Option<End>,
    /// What it said after that.
    pub after: Option<String>,
    /// No further event comes.
    pub events_end: bool,
    /// What is wrong with its events.
    pub broken: Option<FrameError>,
    /// It did not end by itself.
    pub lingered: bool,
    /// The node that was entered last, or the check.
    pub entered: Option<String>,
    /// The end of its log.
    pub tail: VecDeque<String>,
    /// Whether the person has seen it.
    pub tail_shown: bool,
}

/// The last word of an engine.
pub(super) enum End {
    Done(Value),
    Failed { fault: Fault, text: String },
}

impl Voices {
    /// Listens to a process whose streams are pipes, and gives it its order.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn of(child: &mut Child, order: Option<Vec<u8>>) -> io::Result<Self> {
        let (sender, heard) = sync_channel(QUEUE);
        let (input, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let _order = spawn("engine-order", move || give(input, order.as_deref()))?;
        let to = sender.clone();
        spawn("engine-events", move || drop(to.send(Voice::EventsEnd(out.map_or(Ok(()), |out| events(out, &to))))))?;
        let to = sender.clone();
        let each = sender.clone();
        spawn("engine-log", move || {
            let read = err.map_or(Ok(()), |err| log::lines(err, |line| each.send(Voice::Line(line)).is_ok()));
            drop(to.send(Voice::LogEnd(read)));
        })?;
        let process = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        spawn("engine-exit", move || {
            let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let wait = |process| matches!(waitid(WaitId::Pid(process), ended), Err(Errno::INTR));
            while process.is_some_and(wait) {}
            drop(sender.send(Voice::Exited));
        })?;
        Ok(Voices { heard, _order })
    }
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}

/// Writes the order and gives the pipe back open. An engine that does not read it says by its end why.
fn give(input: Option<ChildStdin>, order: Option<&[u8]>) -> Option<ChildStdin> {
    let mut input = input?;
    if let Some(order) = order {
        let _ = input.write_all(order);
    }
    Some(input)
}

fn events(out: impl io::Read, to: &SyncSender<Voice>) -> Result<(), FrameError> {
    let mut frames = Reader::new(out, LONGEST_EVENT);
    while let Some(event) = frames.read()? {
        if to.send(Voice::Event(event)).is_err() {
            break;
        }
    }
    Ok(())
}

/// How far the engine is, which says how long to listen.
enum Phase {
    /// It works, for as long as that takes.
    Working,
    /// It said its last word, and must end by then.
    Ending(Instant),
    /// It has ended, and its streams may stay open until then.
    Draining(Instant),
    /// Nobody of its process group is left. This many messages may still lie in the streams.
    Emptying(usize),
}

/// Messages that fit into two pipes.
const MOST_LEFT: usize = 200_000;
/// How long to wait for one of them.
const MOMENT: Duration = Duration::from_millis(100);

/// Listens until the engine has ended, and nothing of its process group is left. No child of it can hold this up: what
/// counts is the end of the process, and after it the streams get a moment more.
pub(super) fn hear(voices: &Voices, process: u32, progress: &mut Progress) -> Heard {
    let mut heard = Heard::default();
    let (mut open, mut exited, mut phase) = (2, false, Phase::Working);
    while open > 0 || !exited {
        match next(&voices.heard, &mut phase) {
            Ok(Voice::Event(event)) => heard.event(event, progress),
            Ok(Voice::Line(line)) => heard.log(line, progress),
            Ok(Voice::EventsEnd(result)) => {
                open -= 1;
                heard.events_end = true;
                // One that ends in the middle of a frame is about to say by its status why.
                if result.as_ref().is_err_and(|error| !matches!(error, FrameError::Cut { .. })) {
                    interrupt::kill_group(process);
                }
                heard.broken = result.err();
            }
            Ok(Voice::LogEnd(result)) => {
                open -= 1;
                if let Err(error) = result {
                    heard.log(format!("the engine's log cannot be read further: {error}"), progress);
                }
            }
            Ok(Voice::Exited) => {
                exited = true;
                phase = Phase::Draining(Instant::now() + DRAINING);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => match phase {
                Phase::Working | Phase::Ending(_) => {
                    heard.lingered = true;
                    interrupt::kill_group(process);
                    phase = Phase::Working;
                }
                Phase::Draining(_) => {
                    interrupt::kill_group(process);
                    phase = Phase::Emptying(MOST_LEFT);
                }
                Phase::Emptying(_) => break,
            },
        }
        let is_over = heard.end.is_some() || heard.events_end;
        if matches!(phase, Phase::Working) && is_over && !heard.lingered {
            phase = Phase::Ending(Instant::now() + ENDING);
        }
    }
    // Whatever a plugin started goes with the engine.
    interrupt::kill_group(process);
    heard
}

/// The next message, or that the time of the phase is over, however many messages wait.
fn next(heard: &Receiver<Voice>, phase: &mut Phase) -> Result<Voice, RecvTimeoutError> {
    match phase {
        Phase::Working => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Phase::Ending(until) | Phase::Draining(until) => match until.checked_duration_since(Instant::now()) {
            Some(left) => heard.recv_timeout(left),
            None => Err(RecvTimeoutError::Timeout),
        },
        Phase::Emptying(0) => Err(RecvTimeoutError::Timeout),
        Phase::Emptying(left) => {
            *left -= 1;
            heard.recv_timeout(MOMENT)
        }
    }
}

impl Heard {
    fn event(&mut self, event: Event, progress: &mut Progress) {
        if let Some(End::Done(_)) = self.end {
            self.after.get_or_insert_with(|| serde_json::to_string(&event).unwrap_or_default());
        }
        progress.event(&event);
        match event {
            Event::Enter { node, .. } => self.entered = Some(node),
            // Bad news holds, whatever is said before or after it.
            Event::Failed { fault, text } => {
                if !matches!(self.end, Some(End::Failed { .. })) {
                    self.end = Some(End::Failed { fault, text });
                }
            }
            Event::Done { result } => {
                self.end.get_or_insert(End::Done(result));
            }
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
