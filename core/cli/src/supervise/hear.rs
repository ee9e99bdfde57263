//! What is made of what comes from the engine, and how long that may take.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyflow_plan::event::{Event, Fault};
use anyflow_plan::frame::FrameError;
use serde_json::Value;

use super::interrupt;
use super::listen::{Voice, Voices};
use crate::progress::Progress;

/// Lines of the engine's log that are kept for the case of its death.
const TAIL_LINES: usize = 20;
/// How long an engine may take to end after its last word.
const ENDING: Duration = Duration::from_secs(10);
/// How long the streams of an engine that has ended may stay open: a child of it may hold them.
const DRAINING: Duration = Duration::from_secs(1);

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
