//! Combines the engine's last event, its exit status and the table of calls into a result.

use std::process::ExitStatus;

use anyflow_plan::frame::FrameError;
use serde_json::Value;

use super::calls::Calls;
use super::hear::{End, Heard};
use super::{Death, EngineFailure};

/// A result counts only if it is the last event, and the engine exits by itself with status 0.
pub(super) fn conclude(
    heard: Heard,
    status: ExitStatus,
    interrupted: bool,
    calls: &Calls,
) -> Result<Value, EngineFailure> {
    if let Some(End::Failed { fault, text }) = heard.end {
        return Err(EngineFailure::Failed { fault, text });
    }
    if let Some(FrameError::Version { number: 0, expected, found }) = heard.broken {
        return Err(EngineFailure::Release { expected, found });
    }
    // An engine that dies may leave half a frame.
    let is_death = |error: &&FrameError| matches!(error, FrameError::Cut { .. }) && heard.end.is_none();
    if let Some(error) = heard.broken.as_ref().filter(|error| !is_death(error)) {
        return Err(EngineFailure::Protocol { found: error.to_string() });
    }
    if let Some(after) = heard.after {
        return Err(EngineFailure::Protocol { found: format!("after the event `done` came {after}") });
    }
    match &heard.end {
        Some(End::Done(result)) if status.success() && !heard.lingered => Ok(result.clone()),
        None if interrupted => Err(EngineFailure::Interrupted),
        _ => Err(EngineFailure::Died(Box::new(Death::new(heard, status, calls.noted())))),
    }
}
