//! Why the engine came to no result.

use std::path::PathBuf;

use anyflow_plan::event::Fault;

use super::Death;

/// Why the engine came to no result.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The user must install or build it.
    #[error("there is no engine at {}: {by}; build it with `cargo build`, or set ANYFLOW_ENGINE", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// Why there.
        by: &'static str,
    },
    /// The user must look at the machine.
    #[error("{}: the engine cannot be started ({source})", path.display())]
    Start {
        /// Its program.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// As the fault says.
    #[error("{text}")]
    Failed {
        /// Who must act.
        fault: Fault,
        /// The engine's own words.
        text: String,
    },
    /// Most often the plugin's author must act.
    #[error(transparent)]
    Died(Box<Death>),
    /// Something spoke on the engine's events that is not the engine of this release. The user must use both programs of one
    /// release, or a plugin's author must act.
    #[error(
        "the engine's events cannot be trusted: {found}; it was ended. Use both programs of one release; if they are, a plugin \
         writes to a descriptor that is not its own. Nothing committed is lost; the same command resumes."
    )]
    Protocol {
        /// What was found.
        found: String,
    },
    /// The engine says that it is done, and the proof is not there. The user must look at the disk, and run again.
    #[error("the engine said that it is done, but {} is not there; the same command completes the output", path.display())]
    Unproven {
        /// The file that ends an output.
        path: PathBuf,
    },
    /// The user wanted it so.
    #[error("stopped; nothing committed is lost, the same command resumes")]
    Interrupted,
}

impl EngineError {
    /// See [`crate::error::CliError::exit_code`].
    pub fn exit_code(&self) -> u8 {
        match self {
            EngineError::Failed { fault, .. } => fault.exit_code(),
            EngineError::Died(death) => death.exit_code(),
            EngineError::Missing { .. }
            | EngineError::Start { .. }
            | EngineError::Protocol { .. }
            | EngineError::Unproven { .. }
            | EngineError::Interrupted => 1,
        }
    }

    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            EngineError::Missing { .. } => "engine.missing",
            EngineError::Start { .. } => "engine.start",
            EngineError::Failed { fault: Fault::Run, .. } => "run",
            EngineError::Failed { fault: Fault::User, .. } => "user",
            EngineError::Failed { fault: Fault::Plugin, .. } => "plugin",
            EngineError::Failed { fault: Fault::Internal, .. } => "internal",
            EngineError::Died(_) => "engine.died",
            EngineError::Protocol { .. } => "engine.protocol",
            EngineError::Unproven { .. } => "engine.unproven",
            EngineError::Interrupted => "interrupted",
        }
    }
}
