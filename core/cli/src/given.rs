//! Shards that another program gives, from the moment that they come until they are committed: an engine that dies leaves
//! them to the next one.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use anyflow_plan::event::Event;
use anyflow_plan::order::GivenShard;

/// Shards that wait for the engine. Whoever gives them has some in progress, never so many, so that giving one never waits.
const MOST_GIVEN: usize = 1024;

/// The shards in progress.
#[derive(Default)]
pub struct GivenQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The shards, and how the process of their last attempt ended.
    shards: BTreeMap<u64, Option<String>>,
    /// No more shards will come.
    is_over: bool,
    /// The engine that runs takes them from here.
    engine: Option<SyncSender<Option<GivenShard>>>,
    /// The engine has loaded its model.
    is_loaded: bool,
}

impl GivenQueue {
    /// A shard comes; `None` ends them.
    pub fn add(&self, given: Option<GivenShard>) {
        let mut state = self.state();
        match &given {
            Some(given) => drop(state.shards.insert(given.shard, given.last_death.clone())),
            None => state.is_over = true,
        }
        if let Some(engine) = &state.engine {
            // An engine that has just ended leaves the shard to the next one.
            let _ = engine.send(given);
        }
        self.changed.notify_all();
    }

    /// Waits for a shard. Returns false once no more will come.
    pub fn wait(&self) -> bool {
        let more = |state: &mut State| state.shards.is_empty() && !state.is_over;
        let state = self.changed.wait_while(self.state(), more).unwrap_or_else(PoisonError::into_inner);
        !state.shards.is_empty()
    }

    /// The shards for an engine that starts: those in progress, then those that come, until [`GivenQueue::ended`].
    pub fn for_engine(&self) -> impl Iterator<Item = Option<GivenShard>> + Send + use<> {
        let mut state = self.state();
        let (engine, shards) = sync_channel(MOST_GIVEN.max(state.shards.len() + 1));
        for (shard, last_death) in &state.shards {
            let _ = engine.send(Some(GivenShard { shard: *shard, last_death: last_death.clone() }));
        }
        if state.is_over {
            let _ = engine.send(None);
        }
        state.engine = Some(engine);
        state.is_loaded = false;
        shards.into_iter()
    }

    /// The engine has ended.
    pub fn ended(&self) {
        self.state().engine = None;
    }

    /// The engine died. Returns false if none of the shards can be guilty.
    pub fn died(&self, death: &str) -> bool {
        let mut state = self.state();
        let State { shards, is_loaded, .. } = &mut *state;
        shards.values_mut().for_each(|last| *last = Some(death.to_string()));
        *is_loaded && !shards.is_empty()
    }

    /// Takes note of an event of the engine.
    pub fn event(&self, event: &Event) {
        let mut state = self.state();
        match event {
            Event::Shard { shard, .. } => drop(state.shards.remove(shard)),
            Event::Begin { part, .. } if part == "rows" => state.is_loaded = true,
            _ => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is consistent between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(shard: u64) -> Option<GivenShard> {
        Some(GivenShard { shard, last_death: None })
    }

    fn numbers(shards: impl Iterator<Item = Option<GivenShard>>) -> Vec<Option<(u64, bool)>> {
        shards.map(|given| given.map(|given| (given.shard, given.last_death.is_some()))).collect()
    }

    #[test]
    fn an_engine_that_ends_leaves_its_shards_to_the_next() {
        let shards = GivenQueue::default();
        shards.add(given(7));
        let first = shards.for_engine();
        shards.add(given(9));
        shards.ended();
        assert_eq!(numbers(first), [Some((7, false)), Some((9, false))]);
        shards.event(&Event::Shard { shard: 7, rows: 1, failed: 0 });
        assert!(!shards.died("signal 6"), "it had not loaded its model");
        let second = shards.for_engine();
        shards.event(&Event::Begin { part: "rows".into(), total: None, unit: "rows".into(), done: 0 });
        assert!(shards.died("signal 6"));
        shards.ended();
        assert_eq!(numbers(second), [Some((9, true))]);
        shards.event(&Event::Shard { shard: 9, rows: 1, failed: 0 });
        shards.add(None);
        assert!(!shards.wait());
    }
}
