//! A long-lived engine: it keeps models loaded and answers [calls](anyflow_plan::service) of clients on a local socket.
//! The rows of all clients share the network calls of their denoiser, step by step.

mod client;
mod content;
mod models;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use anyflow_datasets::memory;
use anyflow_plan::service::ServeOrder;
use serde_json::{Value, json};

use crate::events::Events;
use crate::plugin::{allow_only, watch};
use crate::{Result, RunError, device, job};
use client::Service;
use models::{ModelBudget, Models};

/// The most connections at a time; further ones wait to be accepted.
const MOST_CLIENTS: usize = 256;

/// Answers calls until this process ends. The front has its process end with itself.
///
/// # Errors
/// The device or the socket cannot be opened. A plugin call over the order's time limit ends the program.
pub fn serve(order: &ServeOrder, events: &Events) -> Result<Value> {
    job::use_threads(order.threads);
    let device = device::open(&order.device)?;
    if let Some(hashes) = &order.plugins_allowed {
        allow_only(hashes.iter().cloned());
    }
    let budget = ModelBudget { bytes: order.memory_bytes.unwrap_or_else(memory), batch_rows: order.batch_rows };
    let service = Service { models: Models::new(device, budget), threads: order.threads.max(1) as usize };
    let listener = listen(Path::new(&order.socket))?;
    events.note(format!("the engine is ready on {}", order.device));
    let limit = order.timeout_seconds.map(Duration::from_secs_f64);
    watch::over(limit, |late| job::give_up(late, events), || accept(&listener, &service))?;
    Ok(json!({}))
}

/// Opens the socket, for this user alone, in place of one that an earlier engine left.
fn listen(path: &Path) -> Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(RunError::io(path)(error)),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(RunError::io(path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(RunError::io(path))?;
    Ok(listener)
}

/// Gives each connection a thread of its own.
fn accept(listener: &UnixListener, service: &Service) -> Result<()> {
    let permits = crate::run::Permits::new(MOST_CLIENTS);
    std::thread::scope(|scope| {
        loop {
            let permit = permits.acquire();
            let (stream, _) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => {
                    // The system has no descriptor left, or the client is gone already.
                    tracing::warn!("a client cannot connect: {error}");
                    std::thread::sleep(Duration::from_millis(50));
                    continue;
                }
            };
            let answer = move || {
                client::answer(service, stream);
                drop(permit);
            };
            let thread = std::thread::Builder::new().name("client".into()).spawn_scoped(scope, answer);
            if let Err(error) = thread {
                tracing::warn!("a client is refused, because no thread can start: {error}");
            }
        }
    })
}
