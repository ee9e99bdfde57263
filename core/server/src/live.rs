//! Runs that are not over: what their followers hear.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use serde_json::Value;
use tokio::sync::broadcast;

/// Events that wait for a slow follower before it misses some.
const WAITING: usize = 256;

/// An event for followers.
#[derive(Clone, Debug)]
pub struct RunEvent {
    /// `state`, `node`, `step`, `preview`.
    pub name: &'static str,
    /// Its JSON.
    pub data: Value,
}

/// What a follower gets.
pub struct Following {
    /// The last events of each kind.
    pub last: Vec<Arc<RunEvent>>,
    /// Further events. The channel ends with the run.
    pub events: broadcast::Receiver<Arc<RunEvent>>,
}

/// The runs that wait or are in the engine.
#[derive(Default)]
pub struct Live(Mutex<IndexMap<String, LiveRun>>);

struct LiveRun {
    events: broadcast::Sender<Arc<RunEvent>>,
    /// The last event of each name, and of each node that previews, for a follower that comes late.
    last: IndexMap<String, Arc<RunEvent>>,
    /// The connection of its call.
    call: Option<UnixStream>,
    is_cancelled: bool,
}

impl Live {
    /// Adds a run.
    pub fn open(&self, id: &str) {
        let (events, _) = broadcast::channel(WAITING);
        let run = LiveRun { events, last: IndexMap::new(), call: None, is_cancelled: false };
        self.runs().entry(id.to_string()).or_insert(run);
    }

    /// Removes a run that is over. Its followers find the end of their channel.
    pub fn close(&self, id: &str) {
        self.runs().shift_remove(id);
    }

    /// Tells the followers of a run.
    pub fn tell(&self, id: &str, name: &'static str, data: Value) {
        let mut runs = self.runs();
        let Some(run) = runs.get_mut(id) else { return };
        let node = if name == "preview" { data["node"].as_str().unwrap_or_default() } else { "" };
        let event = Arc::new(RunEvent { name, data: data.clone() });
        run.last.insert(format!("{name} {node}"), event.clone());
        // Without followers, nobody hears it.
        let _ = run.events.send(event);
    }

    /// Follows a run; `None` if it is over.
    pub fn follow(&self, id: &str) -> Option<Following> {
        let runs = self.runs();
        let run = runs.get(id)?;
        Some(Following { last: run.last.values().cloned().collect(), events: run.events.subscribe() })
    }

    /// Sets the connection of a run's call. Closes it if the run is cancelled.
    pub fn connect(&self, id: &str, call: &UnixStream) {
        let mut runs = self.runs();
        let Some(run) = runs.get_mut(id) else { return };
        run.call = call.try_clone().ok();
        run.hang_up();
    }

    /// Cancels a run: its connection is closed now or when it opens.
    pub fn cancel(&self, id: &str) {
        if let Some(run) = self.runs().get_mut(id) {
            run.is_cancelled = true;
            run.hang_up();
        }
    }

    /// True if a client has cancelled the run.
    pub fn is_cancelled(&self, id: &str) -> bool {
        self.runs().get(id).is_some_and(|run| run.is_cancelled)
    }

    fn runs(&self) -> MutexGuard<'_, IndexMap<String, LiveRun>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LiveRun {
    fn hang_up(&self) {
        if let Some(call) = self.call.as_ref().filter(|_| self.is_cancelled) {
            // The engine may be gone already.
            let _ = call.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_late_follower_hears_the_last_event_of_each_kind() {
        let live = Live::default();
        live.open("a");
        for step in 1..=3 {
            live.tell("a", "step", json!({"node": "n", "step": step}));
        }
        live.tell("a", "preview", json!({"node": "n"}));
        live.tell("a", "preview", json!({"node": "m"}));
        let Following { last, events: mut more } = live.follow("a").unwrap();
        let told: Vec<_> = last.iter().map(|event| (event.name, event.data.to_string())).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].1.contains("\"step\":3"), "{told:?}");
        live.tell("a", "state", json!("done"));
        assert_eq!(more.try_recv().unwrap().name, "state");
        live.close("a");
        assert!(matches!(more.try_recv(), Err(broadcast::error::TryRecvError::Closed)));
        assert!(live.follow("a").is_none());
    }

    #[test]
    fn a_run_that_is_cancelled_before_it_connects_is_closed_when_it_does() {
        use std::io::Read;
        let live = Live::default();
        live.open("a");
        live.cancel("a");
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        live.connect("a", &ours);
        assert_eq!(theirs.read(&mut [0; 1]).unwrap(), 0);
        assert!(live.is_cancelled("a") && !live.is_cancelled("b"));
    }
}
