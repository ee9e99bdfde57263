//! The HTTP interface. `openapi.json` describes it.

mod accept;
mod events;
mod files;
mod guard;
mod jobs;
mod listing;
mod results;
mod runs;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::api_error::ApiError;
use crate::config::Token;
use crate::error::ServerError;
use crate::jobs::Jobs;
use crate::page;
use crate::queue::Dispatcher;

/// Connections at a time; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 512;
/// Time in which the head of a request must come.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Time in which the body of a request must come.
const BODY_TIME: Duration = Duration::from_secs(60);
/// Time between two looks for the end of the server.
const LOOK: Duration = Duration::from_millis(200);

/// What all requests share.
pub struct App {
    /// Queue, history, engine.
    pub queue: Arc<Dispatcher>,
    /// Jobs over datasets.
    pub jobs: Arc<Jobs>,
    /// What clients must know.
    pub token: Option<Token>,
}

/// The description of the interface.
const OPENAPI: &str = include_str!("api/openapi.json");

/// All paths with their methods. The description has the same.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    vec![
        ("/v1/pipelines", get(listing::pipelines)),
        ("/v1/pipelines/{name}/graph.svg", get(listing::graph)),
        ("/v1/pipelines/{name}/pipeline.yaml", get(listing::yaml)),
        ("/v1/runs", get(runs::list).post(accept::accept)),
        ("/v1/runs/{id}", get(runs::show).delete(runs::cancel)),
        ("/v1/runs/{id}/events", get(runs::events)),
        ("/v1/runs/{id}/pipeline.yaml", get(runs::yaml)),
        ("/v1/runs/{id}/outputs/{output}/{row}", get(results::output)),
        ("/v1/runs/{id}/output.parquet", get(results::output_parquet)),
        ("/v1/runs/{id}/input.parquet", get(results::input_parquet)),
        ("/v1/datasets", get(jobs::datasets)),
        ("/v1/jobs", get(jobs::list).post(jobs::accept)),
        ("/v1/jobs/{id}", get(jobs::show).delete(jobs::cancel)),
        ("/v1/jobs/{id}/events", get(jobs::events)),
        ("/v1/jobs/{id}/pipeline.yaml", get(jobs::yaml)),
        ("/v1/jobs/{id}/files/{file}", get(files::file)),
        ("/v1/openapi.json", get(|| async { ([(header::CONTENT_TYPE, "application/json")], OPENAPI) })),
        ("/healthz", get(listing::health)),
        ("/metrics", get(listing::metrics)),
    ]
}

fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for (path, methods) in routes() {
        router = router.route(path, methods);
    }
    for file in page::FILES {
        router =
            router.route(file.path, get(move || async move { ([(header::CONTENT_TYPE, file.media)], file.content) }));
    }
    let missing = || async { ApiError::missing("unknown-path", "there is nothing here; see /v1/openapi.json".into()) };
    let refused = || async {
        let text = "this method is not offered here; see /v1/openapi.json";
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", text)
    };
    let limit = DefaultBodyLimit::max(app.queue.queue.limits.upload_bytes);
    router
        .fallback(missing)
        .method_not_allowed_fallback(refused)
        .layer(limit)
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}

/// Serves until the engine is ended by the user.
///
/// # Errors
/// [`ServerError::State`].
pub async fn serve(listener: TcpListener, app: Arc<App>) -> Result<(), ServerError> {
    let service = TowerToHyperService::new(router(app.clone()));
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return Ok(()) };
        let stream = loop {
            let accepted = tokio::time::timeout(LOOK, listener.accept()).await;
            if app.queue.queue.engine.is_stopped() {
                return Ok(());
            }
            match accepted {
                Ok(Ok((stream, _))) => break stream,
                // The client is gone already, or the system has no descriptor left.
                Ok(Err(_)) => tokio::time::sleep(LOOK).await,
                Err(_) => {}
            }
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            // A client that goes away is no error of ours.
            let _ = connection.await;
            drop(permit);
        });
    }
}

/// JSON as a response.
fn json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_description_has_every_path() {
        let described: Value = serde_json::from_str(OPENAPI).unwrap();
        let described: BTreeSet<String> = described["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(described, routes().into_iter().map(|(path, _)| path.to_string()).collect());
    }
}
