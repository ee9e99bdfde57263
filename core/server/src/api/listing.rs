//! Pipelines, health and counters.

use std::sync::Arc;

use anyflow_plan::service::ServiceCall;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json as value;

use super::{App, json};
use crate::api_error::ApiError;
use crate::engine::CallEnd;
use crate::pipeline::Pipeline;

/// `GET /v1/pipelines`.
pub async fn pipelines(State(app): State<Arc<App>>) -> Response {
    let pipelines: Vec<_> = app.queue.queue.pipelines.values().map(Pipeline::describe).collect();
    let limits = &app.queue.queue.limits;
    let limits = value!({"rows": limits.rows, "steps": limits.steps, "upload_bytes": limits.upload_bytes});
    json(StatusCode::OK, &value!({"pipelines": pipelines, "limits": limits}))
}

/// `GET /v1/pipelines/{name}/graph.svg`.
pub async fn graph(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let pipeline = named(&app, &name)?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], pipeline.graph.clone()).into_response())
}

/// `GET /v1/pipelines/{name}/pipeline.yaml`.
pub async fn yaml(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let pipeline = named(&app, &name)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], pipeline.text.clone()).into_response())
}

/// `GET /healthz`.
pub async fn health(State(app): State<Arc<App>>) -> Response {
    let is_ready = app.queue.queue.engine.is_ready();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let engine = if is_ready { "ready" } else { "starting" };
    json(status, &value!({"engine": engine, "version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /metrics`.
pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let states = app.queue.queue.store.counts()?;
    let asking = app.clone();
    let engine = tokio::task::spawn_blocking(move || {
        let engine = &asking.queue.queue.engine;
        let end = engine.is_ready().then(|| engine.call(&ServiceCall::Status, &[], |_| {}, |_, _| {}))?;
        if let CallEnd::Done(status, _) = end { Some(status) } else { None }
    });
    let text = app.queue.queue.metrics.text(&states, engine.await.ok().flatten().as_ref());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

fn named<'a>(app: &'a App, name: &str) -> Result<&'a Pipeline, ApiError> {
    let missing = || ApiError::missing("unknown-pipeline", format!("this server has no pipeline `{name}`"));
    app.queue.queue.pipelines.get(name).ok_or_else(missing)
}
