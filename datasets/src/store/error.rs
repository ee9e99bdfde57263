//! Errors of stores in the terms of this crate.

use std::error::Error as _;
use std::path::Path;

use object_store::Error;

use crate::error::DatasetError;

/// The error for a request that failed.
pub(super) fn failed(shown: &Path, action: &'static str, error: Error) -> DatasetError {
    let path = shown.to_path_buf();
    match error {
        Error::NotFound { .. } => DatasetError::Missing { path },
        error @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => {
            DatasetError::Denied { path, action, reason: reason(&error) }
        }
        error => DatasetError::Store { path, action, reason: reason(&error) },
    }
}

/// The error with its causes, in one line. Stores answer with pages of XML.
pub(super) fn reason(error: &Error) -> String {
    const MOST: usize = 400;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
