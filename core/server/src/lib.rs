//! Serves pipelines over HTTP, with a page for people. It needs no tensor: a long-lived engine runs the rows of all clients
//! together, and this crate is a client of it.
//!
//! A request is checked and stored in a queue on disk before it is accepted (`store`). From there it goes to the engine
//! (`queue`), and its events go to everybody who follows it (`live`). The queue survives the sudden end of
//! this process and of the engine: a run that twice ended without an outcome is quarantined. Batch jobs over datasets have
//! a queue of their own and are processes of `anyflow run` (`jobs`).

mod api;
mod api_error;
mod cells;
mod config;
mod engine;
mod error;
mod jobs;
mod live;
mod log;
mod metrics;
mod page;
mod pipeline;
mod queue;
mod queue_table;
mod redact;
mod request;
mod state;
mod store;

use std::sync::Arc;
use std::time::Duration;

use anyflow_datasets::Folder;
use anyflow_plan::service::ServiceCall;
use indexmap::IndexMap;
use tokio::net::TcpListener;

pub use config::{Limits, ServerConfig, Token};
pub use engine::{EngineEnd, StartEngine};
pub use error::ServerError;
pub use jobs::{JobCommand, JobLaunch, JobsConfig};
pub use pipeline::{Changed, Pipeline, PipelineTexts, PlanRefused, RunChanges};

use api::App;
use engine::EngineHost;
use jobs::Jobs;
use live::Live;
use metrics::Metrics;
use queue::{Dispatcher, Queue};
use store::Store;

/// The file of the queue and the history in the state folder.
const STORE_FILE: &str = "runs.sqlite";
/// The file of the jobs.
const JOBS_FILE: &str = "jobs.sqlite";
/// The engine's socket in the state folder.
const SOCKET_FILE: &str = "engine.sock";
/// The longest path of a socket on Linux.
const LONGEST_SOCKET: usize = 107;
/// Time for runs to leave the engine at the end.
const ENDING: Duration = Duration::from_secs(5);
/// Time for a job to commit what it can at the end.
const JOB_ENDING: Duration = Duration::from_secs(15);

/// What to serve.
pub struct Server {
    /// Addresses, limits, folders.
    pub config: ServerConfig,
    /// The pipelines.
    pub pipelines: Vec<Pipeline>,
    /// The jobs over datasets.
    pub jobs: JobsConfig,
    /// Starts an engine and returns when it has ended.
    pub start_engine: StartEngine,
    /// Called with the address once the server listens.
    pub listening: Box<dyn FnOnce(std::net::SocketAddr)>,
}

/// Serves until the user interrupts it. Queued runs stay in the queue, and those that run return to it.
///
/// # Errors
/// [`ServerError`]: the address is in use or needs a token, the state folder is in use, or the engine cannot be started.
pub fn serve(server: Server) -> Result<(), ServerError> {
    let Server { mut config, pipelines, jobs, start_engine, listening } = server;
    config.check()?;
    let mut named: IndexMap<String, Pipeline> = IndexMap::new();
    for pipeline in pipelines {
        let name = pipeline.plan.name.clone();
        if let Some(other) = named.insert(name.clone(), pipeline) {
            return Err(ServerError::SameName { name, file: other.file });
        }
    }
    // Holds the lock of the folder as long as this process lives.
    let folder = Folder::open(&config.state)?;
    restrict(&config)?;
    let socket = std::path::absolute(config.state.join(SOCKET_FILE)).map_err(ServerError::State)?;
    let socket = socket.to_str().filter(|path| path.len() <= LONGEST_SOCKET);
    config.engine.socket = socket.ok_or_else(|| ServerError::LongPath { state: config.state.clone() })?.to_string();
    let store = Store::open(&config.state.join(STORE_FILE))?;
    let jobs = Arc::new(Jobs::open(jobs, &config.state.join(JOBS_FILE))?);
    let metrics = Arc::new(Metrics::default());
    let engine = Arc::new(EngineHost::start(config.engine.clone(), start_engine, metrics.clone())?);
    let queue = Queue { store, live: Live::default(), engine, pipelines: named, limits: config.limits, metrics };
    let queue = Dispatcher::start(queue)?;
    preload(queue.clone())?;
    jobs.start().map_err(ServerError::State)?;
    let app = Arc::new(App { queue: queue.clone(), jobs: jobs.clone(), token: config.token.take() });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let served = runtime.map_err(ServerError::State)?.block_on(async {
        let address = config.address;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| ServerError::Address { address, source })?;
        listening(listener.local_addr().map_err(ServerError::State)?);
        api::serve(listener, app).await
    });
    jobs.stop(JOB_ENDING);
    queue.stop(ENDING);
    drop(folder);
    served
}

/// Loads the models, so that the first run need not wait for its own. A model that cannot be loaded fails its runs.
fn preload(queue: Arc<Dispatcher>) -> Result<(), ServerError> {
    let load = move || {
        for pipeline in queue.queue.pipelines.values() {
            let call = ServiceCall::Load { plan: pipeline.plan.clone() };
            queue.queue.engine.call(&call, &[], |_| {}, |_, _| {});
        }
    };
    std::thread::Builder::new().name("preload".into()).spawn(load).map(drop).map_err(ServerError::State)
}

/// The state holds the uploads of users: only this user may enter.
fn restrict(config: &ServerConfig) -> Result<(), ServerError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&config.state, std::fs::Permissions::from_mode(0o700)).map_err(ServerError::State)
}
