//! Errors of the engine program, each with who must act.

use anyflow_datasets::DatasetError;
use anyflow_diffusion::EngineError;
use anyflow_plan::event::Fault;

use crate::identity::Differences;

/// The result of everything fallible in this crate.
pub type Result<T, E = RunError> = std::result::Result<T, E>;

/// Why a job cannot go on. Failures of single rows are not errors: they become rows of `failures.parquet`.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A plugin's library cannot be used. The user must install another one, or its author mend it.
    #[error("plugin {path}: {text}")]
    Library {
        /// The library file.
        path: String,
        /// What is wrong and what to do.
        text: String,
    },
    /// A plugin refused or broke a call. Its author must act, unless the text names a parameter.
    #[error("{component} (plugin version {version}) {call}: {text}")]
    Plugin {
        /// `plugin/component`.
        component: String,
        /// The plugin's version.
        version: String,
        /// What it was asked for.
        call: String,
        /// What it said.
        text: String,
    },
    /// A plugin's call does not come back. Its author must act, or the user must grant it more time.
    #[error(
        "{}{component} (plugin version {version}) {call}: has not returned in the {limit_seconds} s that --timeout allows; \
         its author must mend it, or allow it more; nothing committed is lost, the same command resumes",
        node.as_ref().map(|node| format!("node `{node}`: ")).unwrap_or_default()
    )]
    Stuck {
        /// The node, stage or task, if the call belongs to one.
        node: Option<String>,
        /// `plugin/component`.
        component: String,
        /// The plugin's version.
        version: String,
        /// What it was asked for.
        call: String,
        /// How long a call may take.
        limit_seconds: f64,
    },
    /// A checkpoint is missing, or belongs to another model. The user must name the right one, or train.
    #[error("checkpoint {path}: {text}")]
    Checkpoint {
        /// The file.
        path: String,
        /// What is wrong and what to do.
        text: String,
    },
    /// The output folder holds another job. The user must take back what differs, or choose another folder.
    #[error("{path}: holds another job: {differences}; or choose another --output")]
    OtherJob {
        /// The folder.
        path: String,
        /// What differs, each part with what to do.
        differences: Differences,
    },
    /// The data is not what the job needs. The user must act.
    #[error("{0}")]
    Data(String),
    /// Too many rows failed. The user must look at the failures.
    #[error("{failed} rows failed, more than the {allowed} allowed; see {path} for the reasons")]
    TooManyFailures {
        /// Rows that failed.
        failed: u64,
        /// What `--max-failures` allows.
        allowed: u64,
        /// The failures' file.
        path: String,
    },
    /// No row came through. The user must look at the failures.
    #[error("none of the {failed} rows succeeded; {path} says why each failed")]
    AllFailed {
        /// Rows that failed.
        failed: u64,
        /// The failures' file.
        path: String,
    },
    /// A dataset cannot be read or written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The diffusion engine refused.
    #[error("node `{node}`: {source}")]
    Diffusion {
        /// The node, stage or task.
        node: String,
        /// Why.
        source: EngineError,
    },
    /// libtorch refused an operation of ours: please report.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// Arrow refused an operation of ours: please report.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A file cannot be read or written. The user must look at disk and rights.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The loss is no longer a number, again and again. The user must lower the learning rate or look at the data.
    #[error(
        "stage `{stage}`: by step {step} the loss ({loss:.3e}) or its gradient (norm {norm:.3e}) is no longer a number, also \
         after {rollbacks} returns to step {good} with half the learning rate each time; lower the learning rate, set \
         `clip`, or look at the data; the last saved state is kept"
    )]
    Diverged {
        /// The stage.
        stage: String,
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
        /// The norm of the gradient.
        norm: f64,
        /// How often the stage went back.
        rollbacks: u64,
        /// The step that it went back to the last time.
        good: u64,
    },
    /// An evaluation is below what its file asks for. The user must train longer, or ask for less.
    #[error("{0}")]
    BelowTarget(String),
    /// Something that planning should have excluded. We must act: please report.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

impl RunError {
    /// Who must act; the exit code follows from it.
    pub fn fault(&self) -> Fault {
        match self {
            RunError::Library { .. } | RunError::Plugin { .. } | RunError::Stuck { .. } => Fault::Plugin,
            RunError::Checkpoint { .. } | RunError::OtherJob { .. } | RunError::Data(_) => Fault::User,
            RunError::Dataset(error) => match error.fault() {
                anyflow_datasets::Fault::User => Fault::User,
                anyflow_datasets::Fault::Plugin => Fault::Plugin,
                anyflow_datasets::Fault::Internal => Fault::Internal,
                anyflow_datasets::Fault::Run => Fault::Run,
            },
            RunError::Torch(_) | RunError::Arrow(_) | RunError::Internal(_) => Fault::Internal,
            RunError::Diffusion { source: EngineError::Config { .. }, .. } => Fault::User,
            _ => Fault::Run,
        }
    }

    /// Whether the device had no memory for a call. For fewer rows it may have.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let said = match self {
            RunError::Diffusion { source, .. } => return source.is_out_of_memory(),
            RunError::Plugin { text, .. } => text.clone(),
            RunError::Torch(error) => error.to_string(),
            _ => return false,
        };
        ["out of memory", "can't allocate memory", "not enough memory"].iter().any(|reason| said.contains(reason))
    }

    /// An I/O error with its file.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> RunError + '_ {
        move |source| RunError::Io { path: path.display().to_string(), source }
    }

    /// A diffusion error with its node, stage or task.
    pub(crate) fn diffusion(node: &str) -> impl FnOnce(EngineError) -> RunError + '_ {
        move |source| RunError::Diffusion { node: node.to_string(), source }
    }
}
