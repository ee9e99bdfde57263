//! Shards that the front gives, one by one. Whoever gives them may give one twice.

use std::time::{Duration, Instant};

use anyflow_datasets::{Features, OutputDir};
use anyflow_plan::order::{GivenShard, GivenShare};
use crossbeam::channel::{Receiver, RecvTimeoutError};

use super::read::ShardReader;
use super::tries::{Begun, Tries};
use crate::events::Events;
use crate::{Result, RunError};

/// Time between two looks at whether the run has failed.
const PAUSE: Duration = Duration::from_millis(50);

/// The shards that follow an order; see [`GivenShare`].
pub type GivenShards = Receiver<Option<GivenShard>>;

/// Takes the shards that the front gives.
pub struct Giving<'a> {
    /// The shards.
    pub shards: &'a GivenShards,
    /// How they are given.
    pub share: &'a GivenShare,
    /// Where they are committed.
    pub output: &'a OutputDir,
    /// Their rows.
    pub reader: &'a ShardReader<'a>,
    /// Features of the output columns.
    pub features: Features,
    /// The attempts at them, if they are counted.
    pub tries: Option<&'a Tries<'a>>,
    /// Tells of those that are committed.
    pub events: &'a Events,
}

impl<'a> Giving<'a> {
    /// The shards to do. Ends when the front says so, or when none is in progress and none came for some time.
    pub fn into_shards(
        self,
        has_failed: impl Fn() -> bool + Send + 'a,
    ) -> impl Iterator<Item = Result<u64>> + Send + 'a {
        let begun = Begun::default();
        let take = move || {
            loop {
                let given = self.next(&begun, &has_failed)?;
                match self.meet(&given) {
                    Ok(false) => {}
                    // One that is given again is told of once, when it is committed.
                    Ok(true) if begun.add(given.shard) => return Some(Ok(given.shard)),
                    Ok(true) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
        };
        std::iter::from_fn(take)
    }

    fn next(&self, begun: &Begun, has_failed: &impl Fn() -> bool) -> Option<GivenShard> {
        let idle = Duration::try_from_secs_f64(self.share.idle_seconds).unwrap_or(Duration::MAX);
        let mut since = Instant::now();
        loop {
            match self.shards.recv_timeout(PAUSE.min(idle)) {
                Ok(given) => return given,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if has_failed() => return None,
                Err(RecvTimeoutError::Timeout) if !begun.all(|shard| self.output.committed(shard)) => {
                    since = Instant::now();
                }
                Err(RecvTimeoutError::Timeout) if since.elapsed() >= idle => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Returns true if the shard must be done.
    fn meet(&self, given: &GivenShard) -> Result<bool> {
        let GivenShard { shard, .. } = *given;
        if shard >= self.reader.shards() {
            let shards = self.reader.shards();
            return Err(RunError::Data(format!("shard {shard} is given, but the input has {shards} shards")));
        }
        if !self.output.committed(shard) {
            let Some(tries) = self.tries else { return Ok(true) };
            if !tries.meet(given)? {
                return Ok(true);
            }
            tries.give_up(shard, self.reader, &self.features, self.events)?;
        }
        self.events.shard(shard, self.output.shard_rows(shard));
        Ok(false)
    }
}
