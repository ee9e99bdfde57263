//! The watch over calls into plugins. Each is written down while it is under way, in the thread that makes it: a call that
//! takes too long cannot be ended, but it can be named, and so can one that ends the process.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyflow_plan::calls::Call;
use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};

use crate::process::calls;
use crate::{Result, RunError};

/// What times are counted from.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

thread_local! {
    static NODE: RefCell<Option<String>> = const { RefCell::new(None) };
    /// The slot of the call that this thread is in, 0 for none. A signal handler reads it, so it needs no destructor.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    /// The slot that it used last.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// The time that a call takes, in the thread that makes it: from its making to its drop.
pub struct Watched {
    slot: usize,
    outer: usize,
    _of_this_thread: PhantomData<*const ()>,
}

impl Watched {
    /// Writes down that a call begins on this thread. `component` is `plugin/component`, or the plugin's name alone.
    pub fn begin(component: &str, version: &str, call: &str) -> Self {
        NODE.with_borrow(|node| Watched::begin_in(node.as_deref(), component, version, call))
    }

    /// The same, for a node that this thread was not told of.
    pub fn begin_in(node: Option<&str>, component: &str, version: &str, call: &str) -> Self {
        let slot = calls().begin(&Call { node, component, version, call }, now(), LAST.get());
        LAST.set(slot);
        Watched { slot, outer: CURRENT.replace(slot), _of_this_thread: PhantomData }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
        calls().end(self.slot);
    }
}

/// The slot of the call that this thread is in, 0 for none.
pub(crate) fn current() -> usize {
    CURRENT.get()
}

/// Names the node, stage or task that `work` belongs to, for calls on this thread.
pub fn in_node<T>(node: &str, work: impl FnOnce() -> T) -> T {
    let before = NODE.replace(Some(node.into()));
    let done = work();
    NODE.set(before);
    done
}

/// The node, stage or task that this thread works for.
pub fn node() -> Option<String> {
    NODE.with_borrow(Clone::clone)
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
    std::thread::scope(|scope| {
        let (_stop, stopped) = bounded(0);
        let (tell, ready) = bounded(1);
        let watch = move || {
            warm_up();
            let _ = tell.send(());
            watch(limit, &stopped, stuck);
        };
        std::thread::Builder::new()
            .name("watch".into())
            .spawn_scoped(scope, watch)
            .map_err(|source| RunError::Io { path: "a thread".into(), source })?;
        let _ = ready.recv();
        work()
    })
}

/// Waits at a channel for the first time. While the constructor of a library runs, the system's loader is locked. Until it
/// returns, no other thread can begin, and none can make a thread-local value that has a destructor, as waiting at a channel
/// does once in each thread. So a thread that watches must have waited before a library is loaded.
pub fn warm_up() {
    // At a channel without room, every wait makes that value, however short it is.
    let (_open, empty) = bounded::<()>(0);
    let _ = empty.recv_timeout(Duration::ZERO);
}

/// Looks at the calls under way until the other end of `stopped` is gone.
fn watch(limit: Duration, stopped: &Receiver<()>, stuck: impl Fn(&RunError)) {
    let pause = (limit / 8).clamp(Duration::from_millis(5), Duration::from_secs(1));
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(pause) {
        let late = |begin: &u64| now().saturating_sub(*begin) > nanoseconds(limit);
        if let Some((_, call)) = calls().under_way().find(|(begin, _)| late(begin)) {
            let Call { node, component, version, call } = call;
            stuck(&RunError::Stuck { node, component, version, call, limit_seconds: limit.as_secs_f64() });
        }
    }
}

fn now() -> u64 {
    nanoseconds(ORIGIN.get_or_init(Instant::now).elapsed())
}

/// Five centuries fit.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
