//! Accepts runs: JSON, or a form with files.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json as value;

use super::{App, BODY_TIME, json};
use crate::api_error::ApiError;
use crate::request::{FormCells, RunRequest};
use crate::store::NewRun;

/// The media type of JSON.
const JSON: &str = "application/json";
/// The part of a form with the JSON of the run.
const REQUEST_PART: &str = "run";
/// The most parts of a form.
const MOST_PARTS: usize = 1024;

/// A request as it came.
struct Asked {
    request: RunRequest,
    /// The cells of a form.
    form: FormCells,
}

/// `POST /v1/runs`.
pub async fn accept(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let Asked { request, form } = tokio::time::timeout(BODY_TIME, read(&app, request)).await.map_err(late)??;
    let queue = &app.queue.queue;
    let unknown = || {
        let known: Vec<&str> = queue.pipelines.keys().map(String::as_str).collect();
        let text = format!("unknown pipeline `{}`; this server has {}", request.pipeline, known.join(", "));
        ApiError::missing("unknown-pipeline", text)
    };
    let pipeline = queue.pipelines.get(&request.pipeline).ok_or_else(unknown)?;
    let name = request.pipeline.clone();
    let checked = request.check(form, pipeline, &queue.limits)?;
    let request =
        serde_json::to_string(&checked.request).map_err(|error| ApiError::bad("request", error.to_string()))?;
    let id = new_id();
    let run = NewRun { id: id.clone(), pipeline: name, request, rows: checked.rows, input: checked.input };
    // Followers may come as soon as the run is stored.
    queue.live.open(&id);
    if !queue.store.add(&run, queue.limits.queue).inspect_err(|_| queue.live.close(&id))? {
        queue.live.close(&id);
        queue.metrics.refused.add(1);
        let seconds = queue.metrics.mean_seconds() * queue.limits.queue as f64 / queue.limits.running as f64;
        return Err(full(queue.limits.queue, seconds));
    }
    queue.metrics.accepted.add(1);
    app.queue.wake();
    let location = format!("/v1/runs/{id}");
    let body = json(StatusCode::CREATED, &value!({"id": id, "state": "queued", "rows": run.rows, "url": location}));
    Ok(([(header::LOCATION, location)], body).into_response())
}

/// The JSON of a request.
///
/// # Errors
/// It is late, too large, of another media type, or not the JSON that is expected.
pub async fn json_of<T: DeserializeOwned>(app: &App, request: Request) -> Result<T, ApiError> {
    if media_of(&request) != JSON {
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", format!("send `{JSON}`")));
    }
    let body = axum::body::to_bytes(request.into_body(), app.queue.queue.limits.upload_bytes);
    let body = tokio::time::timeout(BODY_TIME, body).await.map_err(late)?.map_err(|error| unread(app, &error))?;
    parsed(&body)
}

fn late(_: tokio::time::error::Elapsed) -> ApiError {
    ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the request did not come within 60 s")
}

fn media_of(request: &Request) -> String {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    media.split(';').next().unwrap_or_default().trim().to_string()
}

/// The refusal of a full queue. `mean` is the mean of the seconds of one of its items.
pub fn full(waiting: u64, mean: f64) -> ApiError {
    let refused = ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "queue-full",
        format!("{waiting} of them wait already; try again later"),
    );
    ApiError { retry_after: Some((mean.ceil() as u64).clamp(1, 3600)), ..refused }
}

async fn read(app: &App, request: Request) -> Result<Asked, ApiError> {
    match media_of(&request).as_str() {
        JSON => {
            let body = axum::body::to_bytes(request.into_body(), app.queue.queue.limits.upload_bytes).await;
            let body = body.map_err(|error| unread(app, &error))?;
            Ok(Asked { request: parsed(&body)?, form: FormCells::new() })
        }
        "multipart/form-data" => {
            let form = Multipart::from_request(request, &()).await;
            form_of(form.map_err(|error| ApiError::new(error.status(), "form", error.body_text()))?).await
        }
        _ => {
            let text = "send `application/json` or `multipart/form-data`";
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", text))
        }
    }
}

async fn form_of(mut form: Multipart) -> Result<Asked, ApiError> {
    let unreadable = |error: axum::extract::multipart::MultipartError| {
        // A connection that ends within the form counts as a fault of the server there.
        let status = if error.status().is_server_error() { StatusCode::BAD_REQUEST } else { error.status() };
        ApiError::new(status, "form", format!("the form cannot be read: {}", error.body_text()))
    };
    let mut request = None;
    let mut cells = FormCells::new();
    let mut parts = 0;
    while let Some(part) = form.next_field().await.map_err(unreadable)? {
        let name = part.name().unwrap_or_default().to_string();
        let bytes = part.bytes().await.map_err(unreadable)?;
        parts += 1;
        if parts > MOST_PARTS {
            return Err(ApiError::bad("form", format!("the form has more than {MOST_PARTS} parts")));
        }
        if name == REQUEST_PART {
            request = Some(parsed(&bytes)?);
        } else {
            cells.entry(name).or_default().push(bytes.to_vec());
        }
    }
    let missing = || ApiError::bad("form", format!("the form has no part `{REQUEST_PART}` with the JSON of the run"));
    Ok(Asked { request: request.ok_or_else(missing)?, form: cells })
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::bad("json", format!("cannot read the request: {error}")))
}

fn unread(app: &App, error: &axum::Error) -> ApiError {
    if !error.to_string().contains("length limit") {
        return ApiError::bad("body", "the request ended before its body was complete".into());
    }
    let text = format!("the request has more than {} bytes", app.queue.queue.limits.upload_bytes);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
}

/// A name that nobody can guess: two numbers that the system's generator keys.
pub fn new_id() -> String {
    let number = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", number(), number())
}
