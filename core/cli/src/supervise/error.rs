//! Errors of the engine.

use std::path::PathBuf;

use anyflow_plan::event::Fault;

use super::Death;

/// Why the engine returned no result.
#[derive(Debug, thiserror::Error)]
pub enum EngineFailure {
    /// The engine was not found. The user must install or build it.
    #[error("no engine at {} ({by}); build it with `cargo build`, or set ANYFLOW_ENGINE", path.display())]
    Missing {
        /// The path that was tried.
        path: PathBuf,
        /// Why this path.
        by: &'static str,
    },
    /// The user must check the machine.
    #[error("{}: the engine cannot be started ({source})", path.display())]
    Start {
        /// Its program.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The engine reported an error.
    #[error("{text}")]
    Failed {
        /// Who must act.
        fault: Fault,
        /// The engine's message.
        text: String,
    },
    /// The engine died, most often because of a plugin.
    #[error(transparent)]
    Died(Box<Death>),
    /// The events are not those of this release's engine. The user must use one release, or a plugin writes to the
    /// engine's file descriptors.
    #[error(
        "the engine sent invalid events ({found}) and was killed. Use the same release of both programs. If they are, a plugin \
         writes to a file descriptor of the engine. Committed rows are kept; run the same command again to resume."
    )]
    Protocol {
        /// What was found.
        found: String,
    },
    /// The engine is of another release. The user must use one release.
    #[error(
        "`anyflow-engine` has version {found} of the protocol, `anyflow` has version {expected}; use both programs of the same \
         release (`anyflow doctor` shows which engine is used)"
    )]
    Release {
        /// The version of this program.
        expected: u32,
        /// The engine's version; 0 for engines before version 3.
        found: u32,
    },
    /// The engine reported success, but its output is incomplete. The user must check the disk and run again.
    #[error("the engine reported success, but {} is missing; run the same command again to complete the output", path.display())]
    Unproven {
        /// The file that completes an output.
        path: PathBuf,
    },
    /// The user stopped the job.
    #[error("stopped; committed rows are kept, run the same command again to resume")]
    Interrupted,
}

impl EngineFailure {
    /// See [`crate::error::CliError::exit_code`].
    pub fn exit_code(&self) -> u8 {
        match self {
            EngineFailure::Failed { fault, .. } => fault.exit_code(),
            EngineFailure::Died(death) => death.exit_code(),
            EngineFailure::Missing { .. }
            | EngineFailure::Start { .. }
            | EngineFailure::Protocol { .. }
            | EngineFailure::Release { .. }
            | EngineFailure::Unproven { .. }
            | EngineFailure::Interrupted => 1,
        }
    }

    /// An error code for `--json`.
    pub fn code(&self) -> &'static str {
        match self {
            EngineFailure::Missing { .. } => "engine.missing",
            EngineFailure::Start { .. } => "engine.start",
            EngineFailure::Failed { fault: Fault::Run, .. } => "run",
            EngineFailure::Failed { fault: Fault::User, .. } => "user",
            EngineFailure::Failed { fault: Fault::Plugin, .. } => "plugin",
            EngineFailure::Failed { fault: Fault::Internal, .. } => "internal",
            EngineFailure::Died(_) => "engine.died",
            EngineFailure::Protocol { .. } => "engine.protocol",
            EngineFailure::Release { .. } => "engine.release",
            EngineFailure::Unproven { .. } => "engine.unproven",
            EngineFailure::Interrupted => "interrupted",
        }
    }
}
