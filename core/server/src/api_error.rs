//! Refusals of requests, as JSON with a status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::log;
use crate::redact::without_paths;

/// A refused request: `{"error": {"code": ..., "message": ...}}`.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// A stable code.
    pub code: String,
    /// What is wrong, what was found, what to do.
    pub text: String,
    /// Seconds after which the client may try again.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// A refusal with a status.
    pub fn new(status: StatusCode, code: &str, text: impl Into<String>) -> Self {
        ApiError { status, code: code.into(), text: text.into(), retry_after: None }
    }

    /// The client must change its request.
    pub fn bad(code: &str, text: String) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, code, text)
    }

    /// There is no such thing.
    pub fn missing(code: &str, text: String) -> Self {
        ApiError::new(StatusCode::NOT_FOUND, code, text)
    }
}

/// The queue cannot be used: the owner of the server must act.
impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        log::report(&format!("the queue cannot be used: {error}"));
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store", "the queue of the server cannot be used")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let ApiError { status, code, text, retry_after } = self;
        let body = json!({"error": {"code": code, "message": without_paths(&text)}}).to_string();
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
