//! Runs: their list, their state, their end.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json as value};

use super::events::{self, EventSource};
use super::{App, json};
use crate::api_error::ApiError;
use crate::cells::{Rows, shown};
use crate::live::Live;
use crate::request::{Changes, RunRequest};
use crate::state::RunState;
use crate::store::StoredRun;

/// Runs in a list.
const LISTED: u64 = 100;

/// `GET /v1/runs`: the latest first.
pub async fn list(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let runs = app.queue.queue.store.latest(LISTED)?;
    let runs = runs.iter().map(|run| described(&app, run)).collect::<Result<Vec<_>, _>>()?;
    Ok(json(StatusCode::OK, &value!({ "runs": runs })))
}

/// `GET /v1/runs/{id}`.
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let run = find(&app, &id)?;
    let mut found = described(&app, &run)?;
    if run.state == RunState::Done {
        found["outputs"] = Value::Object(outputs(&app, &run)?);
    }
    Ok(json(StatusCode::OK, &found))
}

/// `DELETE /v1/runs/{id}`: cancels a run that is not over.
pub async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let queue = &app.queue.queue;
    let run = find(&app, &id)?;
    if queue.store.cancel(&id)? {
        queue.over(&run, RunState::Cancelled);
        app.queue.wake();
    } else {
        queue.live.cancel(&id);
    }
    let state = find(&app, &id)?.state;
    let status = if state.is_end() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(json(status, &value!({"id": id, "state": state.word()})))
}

/// `GET /v1/runs/{id}/events`.
pub async fn events(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    events::events(Runs(app), id)
}

/// `GET /v1/runs/{id}/pipeline.yaml`: a pipeline that plans the same run from a file beside the server's own.
pub async fn yaml(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let run = find(&app, &id)?;
    let request: RunRequest = serde_json::from_str(&run.request)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store", error.to_string()))?;
    saved_beside(&app, &run.pipeline, &request.changes())
}

/// A changed pipeline to be saved beside the file of the pipeline.
///
/// # Errors
/// The pipeline is not served any more, or has changed.
pub fn saved_beside(app: &App, pipeline: &str, changes: &Changes<'_>) -> Result<Response, ApiError> {
    let gone = || ApiError::missing("unknown-pipeline", format!("pipeline `{pipeline}` is not served any more"));
    let pipeline = app.queue.queue.pipelines.get(pipeline).ok_or_else(gone)?;
    let text = changes.texts(pipeline)?.beside;
    let about =
        format!("# A run of {file}; save it beside that file, and run it with `anyflow run`.\n", file = pipeline.file);
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], about + &text).into_response())
}

/// The runs as something to follow.
struct Runs(Arc<App>);

impl EventSource for Runs {
    fn live(&self) -> &Live {
        &self.0.queue.queue.live
    }

    fn state(&self, id: &str) -> Result<RunState, ApiError> {
        Ok(find(&self.0, id)?.state)
    }

    fn described(&self, id: &str) -> Result<Value, ApiError> {
        described(&self.0, &find(&self.0, id)?)
    }

    fn place(&self, id: &str) -> Option<u64> {
        let store = &self.0.queue.queue.store;
        let run = store.get(id).ok().flatten().filter(|run| run.state == RunState::Queued)?;
        Some(store.waiting_before(run.place).ok()? + 1)
    }
}

/// The run of an id.
///
/// # Errors
/// There is none.
pub fn find(app: &App, id: &str) -> Result<StoredRun, ApiError> {
    let run = app.queue.queue.store.get(id)?;
    run.ok_or_else(|| ApiError::missing("unknown-run", "there is no such run; old runs are forgotten".into()))
}

/// A run as JSON, without its rows.
///
/// # Errors
/// The queue cannot be read.
pub fn described(app: &App, run: &StoredRun) -> Result<Value, ApiError> {
    let request: Value = serde_json::from_str(&run.request).unwrap_or_default();
    let mut shown = value!({
        "id": run.id,
        "pipeline": run.pipeline,
        "state": run.state.word(),
        "rows": run.rows,
        "request": request,
        "created": run.created,
        "ended": run.ended,
        "attempts": run.attempts,
    });
    if run.state == RunState::Queued {
        shown["place"] = (app.queue.queue.store.waiting_before(run.place)? + 1).into();
    }
    if let (Some(code), Some(message)) = (&run.code, &run.message) {
        shown["error"] = value!({"code": code, "message": message});
    }
    if let Some(result) = &run.result {
        shown["result"] = result.clone();
    }
    Ok(shown)
}

/// The cells of a run that is done: output -> row -> cell. A file is an address.
fn outputs(app: &App, run: &StoredRun) -> Result<Map<String, Value>, ApiError> {
    let bytes = app.queue.queue.store.output(&run.id)?.unwrap_or_default();
    let unreadable = |text: String| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store", text);
    let rows = Rows::decode(&bytes).map_err(unreadable)?;
    let mut outputs = Map::new();
    for name in rows.names() {
        let Some(column) = rows.column(name) else { continue };
        let cell = |row: usize| {
            let file = |bytes: &[u8], media| {
                let url = format!("/v1/runs/{}/outputs/{}/{row}", run.id, segment(name));
                value!({"media": media, "bytes": bytes.len(), "url": url})
            };
            column.get(row).map(|cell| shown(cell, file)).unwrap_or_default()
        };
        outputs.insert(name.clone(), (0..column.len()).map(cell).collect());
    }
    Ok(outputs)
}

/// A name as a part of a path.
fn segment(name: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.bytes().map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(segment("a_b-1.c"), "a_b-1.c");
        assert_eq!(segment("a/b ü?"), "a%2Fb%20%C3%BC%3F");
    }
}
