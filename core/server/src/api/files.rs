//! The files of a job.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::App;
use super::jobs::find;
use crate::api_error::ApiError;
use crate::state::RunState;

/// Bytes that are read and sent at a time.
const PART: usize = 1 << 18;

/// `GET /v1/jobs/{id}/files/{file}`: one Parquet file of a job that is done, as its manifest lists it.
pub async fn file(State(app): State<Arc<App>>, Path((id, file)): Path<(String, String)>) -> Result<Response, ApiError> {
    let job = find(&app, &id)?;
    if job.state != RunState::Done {
        let text = format!("the job is {}; only one that is done has files", job.state);
        return Err(ApiError::new(StatusCode::CONFLICT, "not-done", text));
    }
    let unknown = || ApiError::missing("unknown-file", format!("the job has no file `{file}`"));
    let shards = app.jobs.shards(&id).into_iter();
    let mut listed = shards.filter_map(|shard| Some((shard.file?, shard.size_bytes)));
    let found = listed.find(|(path, _)| path.rsplit('/').next() == Some(file.as_str()));
    let (path, bytes) = found.ok_or_else(unknown)?;
    let open = File::open(app.jobs.folder(&id).join(path)).map_err(|_| unknown())?;
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.apache.parquet".to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")),
        (header::CONTENT_LENGTH, bytes.to_string()),
    ];
    Ok((headers, Body::from_stream(parts(open.take(bytes)))).into_response())
}

/// The content of a file, part by part, without blocking other requests.
fn parts(file: std::io::Take<File>) -> impl stream::Stream<Item = std::io::Result<Bytes>> {
    stream::try_unfold(file, |mut file| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut part = vec![0; PART];
            let count = file.read(&mut part)?;
            part.truncate(count);
            Ok::<_, std::io::Error>((part, file))
        });
        let (part, file) = read.await.map_err(std::io::Error::other)??;
        Ok(if part.is_empty() { None } else { Some((Bytes::from(part), file)) })
    })
}
