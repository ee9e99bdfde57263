//! The watch over calls into plugins: a call that takes too long cannot be ended, but it can be named.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};

use super::instance::Instance;
use crate::{Result, RunError};

/// Calls are written down only while somebody watches.
static WATCHED: AtomicBool = AtomicBool::new(false);
static NEXT: AtomicU64 = AtomicU64::new(0);
static UNDER_WAY: Mutex<BTreeMap<u64, Call>> = Mutex::new(BTreeMap::new());

thread_local! {
    static NODE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A call that has not returned.
struct Call {
    since: Instant,
    node: Option<String>,
    component: String,
    version: String,
    call: &'static str,
}

/// The time that a call takes: from its making to its drop.
pub(super) struct Watched(Option<u64>);

impl Watched {
    /// Writes down that `call` of an instance begins on this thread.
    pub fn begin(of: &Instance, call: &'static str) -> Self {
        if !WATCHED.load(Ordering::Relaxed) {
            return Watched(None);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let node = NODE.with_borrow(Clone::clone);
        let (component, version) = (of.component.clone(), of.plugin.descriptor.version.clone());
        under_way().insert(number, Call { since: Instant::now(), node, component, version, call });
        Watched(Some(number))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(number) = self.0 {
            under_way().remove(&number);
        }
    }
}

/// Names the node, stage or task that `work` belongs to, for calls on this thread.
pub fn in_node<T>(node: &str, work: impl FnOnce() -> T) -> T {
    let before = NODE.replace(Some(node.into()));
    let done = work();
    NODE.set(before);
    done
}

/// Does `work`; meanwhile, `stuck` is told of a call that takes longer than `limit`. It must end the process, since
/// nothing else ends such a call.
///
/// # Errors
/// Those of `work`; no thread can be started.
pub fn over<T>(
    limit: Option<Duration>,
    stuck: impl Fn(&RunError) + Send,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let Some(limit) = limit else { return work() };
    WATCHED.store(true, Ordering::Relaxed);
    std::thread::scope(|scope| {
        let (_stop, stopped) = bounded(0);
        std::thread::Builder::new()
            .name("watch".into())
            .spawn_scoped(scope, move || watch(limit, &stopped, stuck))
            .map_err(|source| RunError::Io { path: "a thread".into(), source })?;
        work()
    })
}

/// Looks at the calls under way until the other end of `stopped` is gone.
fn watch(limit: Duration, stopped: &Receiver<()>, stuck: impl Fn(&RunError)) {
    let pause = (limit / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
        let late = under_way().values().find(|call| call.since.elapsed() > limit).map(|call| RunError::Stuck {
            node: call.node.clone(),
            component: call.component.clone(),
            version: call.version.clone(),
            call: call.call.into(),
            limit_seconds: limit.as_secs_f64(),
        });
        if let Some(late) = late {
            stuck(&late);
        }
    }
}

fn under_way() -> MutexGuard<'static, BTreeMap<u64, Call>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}
