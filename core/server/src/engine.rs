//! The engine behind the server: it is started again when it dies, and each call has a connection of its own.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyflow_plan::event::{Event, Fault};
use anyflow_plan::frame::{FrameReader, FrameWriter, LONGEST_EVENT, LONGEST_ORDER};
use anyflow_plan::service::{LONGEST_ROWS, ServeOrder, ServiceCall};
use serde_json::Value;

use crate::error::ServerError;
use crate::metrics::Metrics;

/// How an engine ended.
#[derive(Clone, Debug)]
pub struct EngineEnd {
    /// A sentence for people.
    pub text: String,
    /// The user interrupted the programs.
    pub by_user: bool,
}

/// Starts an engine and returns when it has ended.
pub type StartEngine = Box<dyn Fn(&ServeOrder) -> EngineEnd + Send + Sync>;

/// Time for an engine to answer the first call.
const STARTING: Duration = Duration::from_secs(60);
/// Time between two attempts to connect.
const MOMENT: Duration = Duration::from_millis(5);
/// The longest time between two starts of an engine that does not live long.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An engine that lives this long is no reason to wait before the next start.
const LONG_LIFE: Duration = Duration::from_secs(10);
/// Time for the end of an engine to be noticed after its connections have ended.
const NOTICE: Duration = Duration::from_secs(15);

/// The engine's life.
#[derive(Default)]
struct Life {
    /// Number of engines that have ended.
    ends: u64,
    /// How the last one ended.
    last: Option<EngineEnd>,
}

impl Life {
    /// True if the user has ended the engine.
    fn is_over(&self) -> bool {
        self.last.as_ref().is_some_and(|end| end.by_user)
    }
}

/// Holds the engine.
pub struct EngineHost {
    socket: String,
    life: Arc<(Mutex<Life>, Condvar)>,
}

/// The end of a call.
pub enum CallEnd {
    /// It is done, with the JSON of the event and the rows that came before it.
    Done(Value, Vec<u8>),
    /// The engine refused or failed it.
    Failed(Fault, String),
    /// The connection ended without either: the engine died, or the connection was closed on purpose.
    Lost,
    /// There is no engine.
    NoEngine,
}

impl EngineHost {
    /// Starts an engine, and another one whenever it dies.
    ///
    /// # Errors
    /// [`ServerError::State`] if no thread can be started; [`ServerError::Engine`] if the first engine does not live.
    pub fn start(order: ServeOrder, start: StartEngine, metrics: Arc<Metrics>) -> Result<EngineHost, ServerError> {
        let host = EngineHost { socket: order.socket.clone(), life: Arc::default() };
        let life = host.life.clone();
        let keep = move || keep_alive(&order, &start, &life, &metrics);
        std::thread::Builder::new().name("engine".into()).spawn(keep).map_err(ServerError::State)?;
        match host.connect(|life| life.ends > 0) {
            Some(_) => Ok(host),
            None => {
                Err(ServerError::Engine { text: host.last_end().map_or("the engine hangs".into(), |end| end.text) })
            }
        }
    }

    /// True if the engine answers.
    pub fn is_ready(&self) -> bool {
        UnixStream::connect(&self.socket).is_ok()
    }

    /// Number of engines that have ended.
    pub fn ends(&self) -> u64 {
        self.life().ends
    }

    /// True if the user has ended the engine.
    pub fn is_stopped(&self) -> bool {
        self.life().is_over()
    }

    /// Waits for the end of the engine that a call has lost. `ends` is the number of ends before the call.
    pub fn end_after(&self, ends: u64) -> Option<EngineEnd> {
        let (_, changed) = &*self.life;
        let waited = changed.wait_timeout_while(self.life(), NOTICE, |life| life.ends <= ends);
        let (life, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if life.ends > ends { life.last.clone() } else { None }
    }

    /// Makes a call. `opened` gets the connection: closing it cancels the call. `heard` gets each event with the rows that
    /// follow it.
    pub fn call(
        &self,
        call: &ServiceCall,
        rows: &[u8],
        opened: impl FnOnce(&UnixStream),
        mut heard: impl FnMut(Event, Vec<u8>),
    ) -> CallEnd {
        let Some(stream) = self.connect(Life::is_over) else { return CallEnd::NoEngine };
        opened(&stream);
        let mut to = FrameWriter::new(&stream, LONGEST_ORDER);
        if to.write(call).and_then(|()| to.attach(rows)).is_err() {
            return CallEnd::Lost;
        }
        let mut frames = FrameReader::new(&stream, LONGEST_EVENT);
        let mut output = Vec::new();
        while let Ok(Some(event)) = frames.read::<Event>() {
            let length = match &event {
                Event::Preview { bytes, .. } | Event::Rows { bytes } => *bytes,
                _ => 0,
            };
            let Ok(attached) = frames.attached(length, LONGEST_ROWS) else { break };
            match event {
                Event::Done { result } => return CallEnd::Done(result, output),
                Event::Failed { fault, text } => return CallEnd::Failed(fault, text),
                Event::Rows { .. } => output = attached,
                event => heard(event, attached),
            }
        }
        CallEnd::Lost
    }

    /// A connection to the engine, or to the next one; `None` after a minute, or once waiting is useless.
    fn connect(&self, is_useless: impl Fn(&Life) -> bool) -> Option<UnixStream> {
        let started = Instant::now();
        while started.elapsed() < STARTING && !is_useless(&self.life()) {
            if let Ok(stream) = UnixStream::connect(&self.socket) {
                return Some(stream);
            }
            std::thread::sleep(MOMENT);
        }
        None
    }

    fn last_end(&self) -> Option<EngineEnd> {
        self.life().last.clone()
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts engines until the user ends one. An engine that dies early is started again after a pause, which doubles.
fn keep_alive(order: &ServeOrder, start: &StartEngine, life: &(Mutex<Life>, Condvar), metrics: &Metrics) {
    let mut pause = Duration::from_millis(50);
    loop {
        let started = Instant::now();
        let end = start(order);
        let by_user = end.by_user;
        metrics.engine_ends.add(1);
        let (state, changed) = life;
        {
            let mut life = state.lock().unwrap_or_else(PoisonError::into_inner);
            life.ends += 1;
            life.last = Some(end);
        }
        changed.notify_all();
        if by_user {
            return;
        }
        pause = if started.elapsed() > LONG_LIFE { Duration::from_millis(50) } else { (pause * 2).min(LONGEST_PAUSE) };
        std::thread::sleep(pause);
    }
}
