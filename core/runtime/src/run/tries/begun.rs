//! The shards that a process has begun and not ended.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shards that two stages know: the one that begins them, and the one that ends them.
#[derive(Default)]
pub struct Begun(Mutex<BTreeSet<u64>>);

impl Begun {
    /// Adds a shard that begins. Returns false if it has begun already.
    pub fn add(&self, shard: u64) -> bool {
        self.shards().insert(shard)
    }

    /// Removes a shard that is committed.
    pub fn remove(&self, shard: u64) {
        self.shards().remove(&shard);
    }

    /// True if all shards are so.
    pub fn all(&self, is_so: impl Fn(u64) -> bool) -> bool {
        self.shards().iter().all(|shard| is_so(*shard))
    }

    /// The shards that have begun and not ended.
    pub fn left(&self) -> Vec<u64> {
        self.shards().iter().copied().collect()
    }

    fn shards(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // The set is consistent between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
