//! The watchdog of plugin calls. Each running call is registered with its thread. A call that takes too long cannot be
//! stopped, but it can be named, and so can a call that ends the process.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyflow_plan::calls::Call;
use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};

use crate::process::{calls, exchange_current};
use crate::{Result, RunError};

/// The origin of all times.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

thread_local! {
    static NODE: RefCell<Option<String>> = const { RefCell::new(None) };
    /// The slot of this thread's last call.
    static LAST: Cell<usize> = const { Cell::new(0) };
}

/// A registered call of this thread. Dropping it ends the registration.
pub struct Watched {
    slot: usize,
    outer: usize,
    _of_this_thread: PhantomData<*const ()>,
}

impl Watched {
    /// Registers a call of this thread. `component` is `plugin/component`, or only the plugin's name.
    pub fn begin(component: &str, version: &str, call: &str) -> Self {
        NODE.with_borrow(|node| Watched::begin_in(node.as_deref(), component, version, call))
    }

    /// Registers a call with an explicit node.
    pub fn begin_in(node: Option<&str>, component: &str, version: &str, call: &str) -> Self {
        let slot = calls().begin(&Call { node, component, version, call }, now(), LAST.get());
        LAST.set(slot);
        Watched { slot, outer: exchange_current(slot), _of_this_thread: PhantomData }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        exchange_current(self.outer);
        calls().end(self.slot);
    }
}

/// Runs `work` with a current node, stage or task, which registered calls of this thread name.
pub fn in_node<T>(node: &str, work: impl FnOnce() -> T) -> T {
    let before = NODE.replace(Some(node.into()));
    let done = work();
    NODE.set(before);
    done
}

/// The current node, stage or task of this thread.
pub fn node() -> Option<String> {
    NODE.with_borrow(Clone::clone)
}

/// Runs `work` under the watchdog, which passes a call that takes longer than `limit` to `stuck`. `stuck` must end the
/// process, because nothing else ends such a call.
///
/// # Errors
/// The error of `work`; the thread of the watchdog cannot be started.
pub fn over<T>(
    limit: Option<Duration>,
    stuck: impl Fn(&RunError) + Send,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let Some(limit) = limit else { return work() };
    std::thread::scope(|scope| {
        let (_stop, stopped) = bounded(0);
        let (is_ready, ready) = bounded(1);
        let watch = move || {
            warm_up();
            let _ = is_ready.send(());
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

/// Initializes this thread's wait on channels. While a library's constructor runs, the loader is locked: no thread can
/// start, and none can create a thread-local value with a destructor, as the first wait on a channel does. So the watchdog
/// must have waited once before a library is loaded.
pub fn warm_up() {
    // On a channel without capacity, every wait creates that value, however short it is.
    let (_open, empty) = bounded::<()>(0);
    let _ = empty.recv_timeout(Duration::ZERO);
}

/// Checks the running calls until the other end of `stopped` is closed.
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

/// Nanoseconds in a `u64`, which overflows only after five centuries.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
