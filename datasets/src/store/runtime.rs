//! The thread that talks to stores. The rest of the crate is synchronous.

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, sync_channel};

use tokio::runtime::{Builder, Handle};

/// An answer that is on its way.
#[derive(Debug)]
pub(super) struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    /// Waits for the answer.
    pub(super) fn wait(self) -> io::Result<T> {
        self.0.recv().map_err(|_| io::Error::other("a request to a store was given up"))
    }
}

/// Sends a request, and goes on.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn begin<T: Send + 'static>(request: impl Future<Output = T> + Send + 'static) -> io::Result<Pending<T>> {
    static THREAD: OnceLock<io::Result<Handle>> = OnceLock::new();
    let handle = match THREAD.get_or_init(start) {
        Ok(handle) => handle,
        Err(error) => return Err(io::Error::new(error.kind(), error.to_string())),
    };
    let (sender, receiver) = sync_channel(1);
    handle.spawn(async move {
        // Nobody waits any more for what was read ahead in vain.
        let _ = sender.send(request.await);
    });
    Ok(Pending(receiver))
}

/// Sends a request, and waits for the answer.
///
/// # Errors
/// The thread cannot be started.
pub(super) fn wait<T: Send + 'static>(request: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
    begin(request)?.wait()
}

/// Starts the thread, which ends with the process.
fn start() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let forever = move || runtime.block_on(std::future::pending::<()>());
    std::thread::Builder::new().name("store".into()).spawn(forever)?;
    Ok(handle)
}
