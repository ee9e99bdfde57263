//! Batch jobs over datasets.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json as value};

use super::accept::{full, json_of, new_id};
use super::events::{self, EventSource};
use super::{App, json};
use crate::api_error::ApiError;
use crate::jobs::{CheckedJob, JobRequest, NewJob, StoredJob};
use crate::live::Live;
use crate::state::RunState;

/// Jobs in a list.
const LISTED: u64 = 100;
/// Seconds after which a client may look for a place in the queue of jobs.
const LATER: f64 = 60.0;

/// `GET /v1/datasets`: what `data` of a job may name.
pub async fn datasets(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let jobs = app.jobs.clone();
    let list = move || jobs.data.as_ref().map(|data| data.list());
    let found = tokio::task::spawn_blocking(list).await.ok().flatten();
    let most_rows = app.jobs.most_rows();
    let offered = found.is_some();
    Ok(json(
        StatusCode::OK,
        &value!({"offered": offered, "datasets": found.unwrap_or_default(), "most_rows": most_rows}),
    ))
}

/// `POST /v1/jobs`.
pub async fn accept(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let request: JobRequest = json_of(&app, request).await?;
    let own = app.clone();
    // Looking at a dataset reads files.
    let checked = tokio::task::spawn_blocking(move || {
        let queue = &own.queue.queue;
        let unknown =
            || ApiError::missing("unknown-pipeline", format!("this server has no pipeline `{}`", request.pipeline));
        let pipeline = queue.pipelines.get(&request.pipeline).ok_or_else(unknown)?;
        let CheckedJob { pipeline, model, rows } = request.check(pipeline, &queue.limits, &own.jobs)?;
        let text = serde_json::to_string(&request).map_err(|error| ApiError::bad("request", error.to_string()))?;
        let id = new_id();
        let job = NewJob {
            id: id.clone(),
            pipeline: request.pipeline.clone(),
            request: text,
            pipeline_text: pipeline,
            model_text: model,
            total: rows,
        };
        if own.jobs.add(&job)? { Ok(id) } else { Err(full(queue.limits.queue, LATER)) }
    });
    let stopped = |_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request was not finished");
    let id = checked.await.map_err(stopped)??;
    let location = format!("/v1/jobs/{id}");
    let body = json(StatusCode::CREATED, &value!({"id": id, "state": "queued", "url": location}));
    Ok(([(header::LOCATION, location)], body).into_response())
}

/// `GET /v1/jobs`: the latest first.
pub async fn list(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let jobs = app.jobs.store.latest(LISTED)?;
    let jobs = jobs.iter().map(|job| described(&app, job)).collect::<Result<Vec<_>, _>>()?;
    Ok(json(StatusCode::OK, &value!({ "jobs": jobs })))
}

/// `GET /v1/jobs/{id}`.
pub async fn show(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let job = find(&app, &id)?;
    Ok(json(StatusCode::OK, &described(&app, &job)?))
}

/// `DELETE /v1/jobs/{id}`: cancels a job that is not over. Its finished rows stay in its folder.
pub async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    find(&app, &id)?;
    app.jobs.cancel(&id)?;
    let state = find(&app, &id)?.state;
    let status = if state.is_end() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(json(status, &value!({"id": id, "state": state.word()})))
}

/// `GET /v1/jobs/{id}/events`.
pub async fn events(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    events::events(FollowedJobs(app), id)
}

/// `GET /v1/jobs/{id}/pipeline.yaml`: a pipeline that plans the same rows from a file beside the server's own.
pub async fn yaml(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let job = find(&app, &id)?;
    let request: JobRequest = serde_json::from_str(&job.request)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store", error.to_string()))?;
    super::runs::saved_beside(&app, &job.pipeline, &request.changes())
}

/// The job of an id.
///
/// # Errors
/// There is none.
pub fn find(app: &App, id: &str) -> Result<StoredJob, ApiError> {
    let job = app.jobs.store.get(id)?;
    job.ok_or_else(|| ApiError::missing("unknown-job", "there is no such job".into()))
}

fn described(app: &App, job: &StoredJob) -> Result<Value, ApiError> {
    let request: Value = serde_json::from_str(&job.request).unwrap_or_default();
    let counts = app.jobs.counts(job);
    let mut shown = value!({
        "id": job.id,
        "pipeline": job.pipeline,
        "state": job.state.word(),
        "rows": counts.rows,
        "failed": counts.failed,
        "total": counts.total,
        "request": request,
        "created": job.created,
        "ended": job.ended,
        "attempts": job.attempts,
    });
    if job.state == RunState::Queued {
        shown["place"] = (app.jobs.store.waiting_before(job.place)? + 1).into();
    }
    if let Some((code, message)) = &job.failure {
        shown["error"] = value!({"code": code, "message": message});
    }
    if let Some(result) = &job.result {
        shown["result"] = result.clone();
    }
    if job.state == RunState::Done {
        shown["files"] = files(app, job).into();
    }
    Ok(shown)
}

/// The files of a job that is done, in the order of their rows.
fn files(app: &App, job: &StoredJob) -> Vec<Value> {
    let shards = app.jobs.shards(&job.id);
    let named = shards.iter().filter_map(|shard| Some((shard, shard.file.as_ref()?.rsplit('/').next()?)));
    let shown = named.map(|(shard, name)| {
        let url = format!("/v1/jobs/{}/files/{name}", job.id);
        value!({"name": name, "bytes": shard.size_bytes, "rows": shard.rows, "blake3": shard.blake3, "url": url})
    });
    shown.collect()
}

/// The jobs as something to follow.
struct FollowedJobs(Arc<App>);

impl EventSource for FollowedJobs {
    fn live(&self) -> &Live {
        &self.0.jobs.live
    }

    fn state(&self, id: &str) -> Result<RunState, ApiError> {
        Ok(find(&self.0, id)?.state)
    }

    fn described(&self, id: &str) -> Result<Value, ApiError> {
        described(&self.0, &find(&self.0, id)?)
    }

    fn place(&self, id: &str) -> Option<u64> {
        let store = &self.0.jobs.store;
        let job = store.get(id).ok().flatten().filter(|job| job.state == RunState::Queued)?;
        Some(store.waiting_before(job.place).ok()? + 1)
    }
}
