//! The rows of a run: single cells, and Parquet files.

use std::sync::Arc;

use anyflow_datasets::{Cell, TableWriter};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::runs::find;
use super::{App, json};
use crate::api_error::ApiError;
use crate::cells::{Rows, UNKNOWN_MEDIA, media_type, shown};
use crate::state::RunState;

/// Nothing in a file of a run can run, wherever a browser shows it.
const SANDBOX: &str = "default-src 'none'; sandbox";

/// `GET /v1/runs/{id}/outputs/{output}/{row}`: a file with its media type, a text, or JSON.
pub async fn output(
    State(app): State<Arc<App>>,
    Path((id, output, row)): Path<(String, String, usize)>,
) -> Result<Response, ApiError> {
    let rows = done(&app, &id)?;
    let unknown = || ApiError::missing("unknown-output", format!("the run has no row {row} of an output `{output}`"));
    let column = rows.column(&output).filter(|column| row < column.len()).ok_or_else(unknown)?;
    let cell = column.get(row).map_err(|error| ApiError::bad("bad-cell", error.to_string()))?;
    let policy = (header::CONTENT_SECURITY_POLICY, SANDBOX);
    Ok(match cell {
        Some(Cell::Bytes(bytes)) => {
            let media = media_type(bytes);
            let place = if media == UNKNOWN_MEDIA { "attachment" } else { "inline" };
            let headers = [(header::CONTENT_TYPE, media), (header::CONTENT_DISPOSITION, place), policy];
            (headers, bytes.to_vec()).into_response()
        }
        Some(Cell::Utf8(text)) => {
            ([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), policy], text.to_string()).into_response()
        }
        cell => json(StatusCode::OK, &shown(cell, |_, _| serde_json::Value::Null)),
    })
}

/// `GET /v1/runs/{id}/output.parquet`.
pub async fn output_parquet(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let rows = done(&app, &id)?;
    parquet(&rows, "output.parquet")
}

/// `GET /v1/runs/{id}/input.parquet`: what `anyflow run --input` reads to repeat the run.
pub async fn input_parquet(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    find(&app, &id)?;
    let missing = || ApiError::missing("no-input", "the pipeline of this run has no inputs".into());
    let bytes = app.queue.queue.store.input(&id)?.ok_or_else(missing)?;
    parquet(&Rows::decode(&bytes).map_err(unreadable)?, "input.parquet")
}

fn done(app: &App, id: &str) -> Result<Rows, ApiError> {
    let run = find(app, id)?;
    if run.state != RunState::Done {
        let text = format!("the run is {}; only one that is done has rows", run.state);
        return Err(ApiError::new(StatusCode::CONFLICT, "not-done", text));
    }
    Rows::decode(&app.queue.queue.store.output(id)?.unwrap_or_default()).map_err(unreadable)
}

fn parquet(rows: &Rows, name: &str) -> Result<Response, ApiError> {
    let write = || {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = folder.path().join(name);
        let mut writer = TableWriter::create(&path, &rows.batch.schema(), &rows.features).map_err(|e| e.to_string())?;
        writer.write(&rows.batch).map_err(|error| error.to_string())?;
        writer.finish().map_err(|error| error.to_string())?;
        std::fs::read(&path).map_err(|error| error.to_string())
    };
    let place = format!("attachment; filename=\"{name}\"");
    let media = "application/vnd.apache.parquet".to_string();
    let headers = [(header::CONTENT_TYPE, media), (header::CONTENT_DISPOSITION, place)];
    Ok((headers, write().map_err(unreadable)?).into_response())
}

fn unreadable(text: String) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "rows", text)
}
