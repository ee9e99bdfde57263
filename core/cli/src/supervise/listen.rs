//! What comes from the engine: events, log, and its end, each read by a thread of its own.

use std::io::{self, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyflow_plan::event::Event;
use anyflow_plan::frame::{FrameError, LONGEST_EVENT, Reader};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::log;

/// Events and lines that wait to be shown. Bounded: an engine that floods its log waits for the screen.
const QUEUE: usize = 64;

/// Something from the engine.
pub(super) enum Voice {
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
    pub heard: Receiver<Voice>,
    /// It ends with the pipe that says that this program lives, and must be held as long.
    _order: JoinHandle<Option<ChildStdin>>,
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
