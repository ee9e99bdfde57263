//! Handles what the engine sends, with time limits for its end.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyflow_plan::event::{Event, Fault};
use anyflow_plan::frame::FrameError;
use serde_json::Value;

use super::interrupt;
use super::listen::{Voice, Voices};
use crate::progress::Progress;

/// Lines of the engine's log kept to report its death.
const TAIL_LINES: usize = 20;
/// Time in which an engine must exit after its last event.
const ENDING: Duration = Duration::from_secs(10);
/// Time that the pipes of an exited engine may stay open: its children may hold them.
const DRAINING: Duration = Duration::from_secs(1);

/// What the engine has sent.
#[derive(Default)]
pub(super) struct Heard {
    /// Its last event: `done` or `failed`.
    pub end: Option<End>,
    /// An event that came after `done`.
    pub after: Option<String>,
    /// The stream of events has ended.
    pub events_end: bool,
    /// An invalid frame.
    pub broken: Option<FrameError>,
    /// It did not exit by itself.
    pub lingered: bool,
    /// The node or check that it entered last.
    pub entered: Option<String>,
    /// The last lines of its log.
    pub tail: VecDeque<String>,
    /// True if these lines were shown.
    pub tail_shown: bool,
}

/// The last event of an engine.
pub(super) enum End {
    Done(Value),
    Failed { fault: Fault, text: String },
}

/// The phase of the engine, which sets the time limit.
enum Phase {
    /// It works. No time limit.
    Working,
    /// It sent its last event, and must exit by then.
    Ending(Instant),
    /// It has exited; its pipes may stay open until then.
    Draining(Instant),
    /// Its process group is gone. At most this many messages are still read from the pipes.
    Emptying(usize),
}

/// More messages than two full pipes hold.
const MOST_LEFT: usize = 200_000;
/// Time to wait for one of them.
const MOMENT: Duration = Duration::from_millis(100);

/// Listens until the engine has exited and its process group is gone. Children of the engine cannot hold this up: once
/// the engine exits, the pipes get one second more.
pub(super) fn hear(voices: &Voices, process: u32, progress: &mut Progress) -> Heard {
    let mut heard = Heard::default();
    let mut open = 2;
    let mut exited = false;
    let mut phase = Phase::Working;
    while open > 0 || !exited {
        match next(&voices.heard, &mut phase) {
            Ok(Voice::Event(event)) => heard.event(event, progress),
            Ok(Voice::Line(line)) => heard.log(line, progress),
            Ok(Voice::EventsEnd(result)) => {
                open -= 1;
                heard.events_end = true;
                // After half a frame, the exit status will say why.
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
    // Processes that a plugin started end with the engine.
    interrupt::kill_group(process);
    heard
}

/// The next message, or a timeout once the phase is over, even if messages are waiting.
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
            // A failure wins over `done`, in either order.
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
            | Event::Step { .. }
            | Event::Preview { .. }
            | Event::Rows { .. }
            | Event::Shard { .. }
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
