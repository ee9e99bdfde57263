//! The plan as JSON.

use crate::plan::Job;

/// The plan as the engine reads it, indented.
pub(crate) fn job(job: &Job) -> String {
    // JSON can represent every plan: names, finite numbers, maps with string keys.
    let text = serde_json::to_string_pretty(job).unwrap_or_else(|error| format!("\"internal error: {error}\""));
    text + "\n"
}
