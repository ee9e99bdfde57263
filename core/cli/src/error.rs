//! All errors of the program, with exit code and rendering.

use std::path::PathBuf;

use anyflow_datasets::DatasetError;
use anyflow_plan::style::{Style, painted};
use anyflow_plan::{Errors, Source};
use anyflow_server::ServerError;
use anyflow_weights::{FileError, MapError};
use serde_json::{Value, json};

use crate::adopt::AdoptError;
use crate::catalog::CatalogError;
use crate::escape;
use crate::libtorch::LibtorchError;
use crate::supervise::EngineFailure;

/// The result type of this program.
pub type Result<T, E = CliError> = std::result::Result<T, E>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Errors in the user's files or overrides.
    #[error("{errors}")]
    Plan {
        /// All of them.
        errors: Errors,
        /// The texts that the errors quote.
        sources: Vec<Source>,
        /// What else helps to correct them.
        note: Option<String>,
    },
    /// A file that cannot be read. The user must correct the path.
    #[error("{}: cannot be read ({source}){}", path.display(), named_by.as_ref().map(|by| format!("; {by} names it")).unwrap_or_default())]
    Read {
        /// The file.
        path: PathBuf,
        /// The file that names it.
        named_by: Option<String>,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The user must look at the machine: disk full, no permission.
    #[error("{}: cannot be written ({source}); check permissions and free space", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The user must use another command or other arguments.
    #[error("{0}")]
    Usage(String),
    /// See the variants.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Too many rows of a job's parts failed. The user must look at the failures.
    #[error("{failed} rows of all parts failed, more than the {allowed} allowed; see {} for the reasons, or allow more: anyflow finish --max-failures {failed}", path.display())]
    TooManyFailures {
        /// Rows that failed.
        failed: u64,
        /// The limit.
        allowed: u64,
        /// The file of the failures.
        path: PathBuf,
    },
    /// See the variants.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// See the variants.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
    /// See the variants.
    #[error(transparent)]
    Engine(#[from] EngineFailure),
    /// A published file that does not hold what it should. The user must fetch it again or name another.
    #[error(transparent)]
    Weights(#[from] FileError),
    /// A key map that cannot be used. The user must correct it.
    #[error(transparent)]
    KeyMap(#[from] MapError),
    /// A published model that cannot become a model file.
    #[error(transparent)]
    Adopt(#[from] AdoptError),
    /// A server that cannot start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// We must act.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

impl CliError {
    /// Errors in files with the texts that they quote.
    pub fn plan(errors: Errors, sources: Vec<Source>) -> Self {
        CliError::Plan { errors, sources, note: None }
    }

    /// A missing or unreadable file that the user named.
    pub fn read(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| CliError::Read { path, named_by: None, source }
    }

    /// A file or folder that could not be written.
    pub fn write(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| CliError::Write { path, source }
    }

    /// Our own fault.
    pub fn internal(error: impl ToString) -> Self {
        CliError::Internal(error.to_string())
    }

    /// 1 the run failed, 2 the user's files are wrong, 3 a plugin is wrong.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Plan { .. } | Self::Read { .. } | Self::Usage(_) => 2,
            Self::Weights(_) | Self::KeyMap(_) | Self::Adopt(_) => 2,
            Self::Write { .. } | Self::Libtorch(_) | Self::TooManyFailures { .. } | Self::Internal(_) => 1,
            Self::Dataset(error) => u8::try_from(error.fault().exit_code()).unwrap_or(1),
            Self::Catalog(error) => error.exit_code(),
            Self::Engine(error) => error.exit_code(),
            Self::Server(error) => error.exit_code(),
        }
    }

    /// For people, on standard error.
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Plan { errors, sources, note } => {
                let sources: Vec<&Source> = sources.iter().collect();
                let count = if errors.len() == 1 { "1 error".into() } else { format!("{} errors", errors.len()) };
                let codes: Vec<String> =
                    errors.codes().iter().map(|code| format!("`anyflow explain {code}`")).collect();
                let more = format!("; for more see {}", codes.join(", "));
                let note = note.as_ref().map(|note| format!("\nnote: {note}")).unwrap_or_default();
                format!("{}\n{count}{more}{note}", errors.render(&sources, color).trim_end())
            }
            other if color => format!("{}: {}", painted("error", Style::Red), other.sentence()),
            other => format!("error: {}", other.sentence()),
        }
    }

    /// The text of any error but [`CliError::Plan`]: one line, so that no name that it quotes forges another, unless it
    /// quotes the lines of a log.
    fn sentence(&self) -> String {
        let text = self.to_string();
        match self {
            Self::Engine(EngineFailure::Died(_)) => text,
            _ => escape::line(&text).into_owned(),
        }
    }

    /// For programs, on standard output.
    pub fn json(&self) -> Value {
        let mut error = json!({"code": self.code(), "message": self.to_string(), "exit_code": self.exit_code()});
        match self {
            Self::Plan { errors, note, .. } => {
                error["errors"] = serde_json::to_value(errors).unwrap_or_default();
                error["note"] = json!(note);
            }
            Self::Engine(EngineFailure::Died(death)) => error["engine"] = death.json(),
            _ => {}
        }
        json!({ "error": error })
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Plan { .. } => "plan",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::TooManyFailures { .. } => "too-many-failures",
            Self::Usage(_) => "usage",
            Self::Dataset(error) => error.code(),
            Self::Catalog(_) => "plugin",
            Self::Libtorch(_) => "libtorch",
            Self::Engine(error) => error.code(),
            Self::Weights(error) => error.error.code(),
            Self::KeyMap(error) => error.code(),
            Self::Adopt(error) => error.code(),
            Self::Server(error) => error.code(),
            Self::Internal(_) => "internal",
        }
    }
}
