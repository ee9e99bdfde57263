//! Threads that read the engine's events, its log, and its exit.

use std::io::{self, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyflow_plan::event::Event;
use anyflow_plan::frame::{FrameError, FrameReader, LONGEST_EVENT};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::{EngineInput, log};

/// Maximum number of queued messages. Bounded, so that an engine that floods its log waits for the screen.
const QUEUE: usize = 64;

/// A message from the engine.
pub(super) enum Voice {
    Event(Event),
    /// The stream of events has ended.
    EventsEnd(Result<(), FrameError>),
    Line(String),
    /// The log has ended.
    LogEnd(io::Result<()>),
    /// The process has exited and is not waited for yet, so its id is still valid.
    Exited,
}

/// The listening threads.
pub(super) struct Voices {
    pub heard: Receiver<Voice>,
    /// Holds the engine's standard input open: its end tells the engine that this program is gone.
    _order: JoinHandle<Option<ChildStdin>>,
}

impl Voices {
    /// Listens to a process whose streams are pipes, and sends it its input.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn of(child: &mut Child, given: EngineInput) -> io::Result<Self> {
        let (sender, heard) = sync_channel(QUEUE);
        let input = child.stdin.take();
        let out = child.stdout.take();
        let err = child.stderr.take();
        let _order = spawn("engine-order", move || give(input, given))?;
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

/// Writes the input and returns the open pipe. Ignores write errors: an engine that does not read explains why when it
/// exits.
fn give(pipe: Option<ChildStdin>, input: EngineInput) -> Option<ChildStdin> {
    let mut pipe = pipe?;
    for bytes in input {
        let _ = pipe.write_all(&bytes);
    }
    Some(pipe)
}

fn events(out: impl io::Read, to: &SyncSender<Voice>) -> Result<(), FrameError> {
    let mut frames = FrameReader::new(out, LONGEST_EVENT);
    while let Some(event) = frames.read()? {
        if to.send(Voice::Event(event)).is_err() {
            break;
        }
    }
    Ok(())
}
