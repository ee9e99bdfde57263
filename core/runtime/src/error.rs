//! Errors of the engine program. Each says who must act.

use anyflow_datasets::DatasetError;
use anyflow_diffusion::EngineError;
use anyflow_plan::event::Fault;

use crate::identity::Differences;

/// The result type of this crate.
pub type Result<T, E = RunError> = std::result::Result<T, E>;

/// An error that ends a job. Failures of single rows are not errors: they become rows of `failures.parquet`.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A plugin's library cannot be used. The user must install another one, or the plugin's author must fix it.
    #[error("plugin {path}: {text}")]
    Library {
        /// The library file.
        path: String,
        /// The problem and its remedy.
        text: String,
    },
    /// A plugin refused or broke a call. Its author must act, unless the text names a parameter.
    #[error("{component} (plugin version {version}) {call}: {text}")]
    Plugin {
        /// `plugin/component`.
        component: String,
        /// The plugin's version.
        version: String,
        /// The call.
        call: String,
        /// The plugin's message.
        text: String,
    },
    /// A plugin's call does not return. The plugin's author must act, or the user must raise the time limit.
    #[error(
        "{}{component} (plugin version {version}) {call}: did not return within {limit_seconds} s (--timeout). Report it to \
         the plugin's author or raise --timeout. Committed rows are kept; rerun the same command to resume",
        node.as_ref().map(|node| format!("node `{node}`: ")).unwrap_or_default()
    )]
    Stuck {
        /// The node, stage or task, if the call belongs to one.
        node: Option<String>,
        /// `plugin/component`.
        component: String,
        /// The plugin's version.
        version: String,
        /// The call.
        call: String,
        /// The time limit of a call.
        limit_seconds: f64,
    },
    /// A checkpoint is missing or does not fit the model. The user must name the right one, or train.
    #[error("checkpoint {path}: {text}")]
    Checkpoint {
        /// The file.
        path: String,
        /// The problem and its remedy.
        text: String,
    },
    /// The output folder holds another job. The user must undo the differences, or choose another folder.
    #[error("{path}: holds another job: {differences}; or choose another --output")]
    OtherJob {
        /// The folder.
        path: String,
        /// The differences, each with what to do.
        differences: Differences,
    },
    /// The data or the arguments do not fit the job. The user must act.
    #[error("{0}")]
    Data(String),
    /// Too many rows failed. The user must look at the failures.
    #[error("{failed} rows failed, more than the {allowed} allowed; see {path} for the reasons")]
    TooManyFailures {
        /// Rows that failed.
        failed: u64,
        /// The limit, `--max-failures`.
        allowed: u64,
        /// The file of the failures.
        path: String,
    },
    /// All rows failed. The user must look at the failures.
    #[error("none of the {failed} rows succeeded; {path} says why each failed")]
    AllFailed {
        /// Rows that failed.
        failed: u64,
        /// The file of the failures.
        path: String,
    },
    /// A dataset cannot be read or written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The diffusion engine failed.
    #[error("node `{node}`: {source}")]
    Diffusion {
        /// The node, stage or task.
        node: String,
        /// The reason.
        source: EngineError,
    },
    /// A libtorch call of ours failed. The user should report it.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// An Arrow call of ours failed. The user should report it.
    #[error("arrow: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// A file cannot be read or written. The user must look at disk and permissions.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The loss stays NaN or infinite after all rollbacks. The user must lower the learning rate or look at the data.
    #[error(
        "stage `{stage}`: at step {step} the loss ({loss:.3e}) or the norm of its gradient ({norm:.3e}) is NaN or infinite, \
         also after {rollbacks} rollbacks (the last one to step {good}) that each halved the learning rate; lower the \
         learning rate, set `max_grad_norm`, or look at the data. The last saved state is kept"
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
        /// Number of rollbacks.
        rollbacks: u64,
        /// The step of the last rollback's state.
        good: u64,
    },
    /// An evaluation misses a threshold of its file. The user must train longer, or lower the threshold.
    #[error("{0}")]
    BelowTarget(String),
    /// The client of a long-lived engine cancelled its call.
    #[error("cancelled by the client")]
    Cancelled,
    /// A state that planning excludes. It is a bug of ours, which the user should report.
    #[error("internal error, please report it: {0}")]
    Internal(String),
}

impl RunError {
    /// Says who must act. The exit code follows from it.
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
            RunError::Diffusion { source: EngineError::Config { .. } | EngineError::Options(_), .. } => Fault::User,
            _ => Fault::Run,
        }
    }

    /// True if the device ran out of memory. A call with fewer rows may succeed.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let text = match self {
            RunError::Diffusion { source, .. } => return source.is_out_of_memory(),
            RunError::Plugin { text, .. } => text.clone(),
            RunError::Torch(error) => error.to_string(),
            _ => return false,
        };
        ["out of memory", "can't allocate memory", "not enough memory"].iter().any(|reason| text.contains(reason))
    }

    /// Adds the file to an I/O error.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> RunError + '_ {
        move |source| RunError::Io { path: path.display().to_string(), source }
    }

    /// Adds the node, stage or task to a diffusion error.
    pub(crate) fn diffusion(node: &str) -> impl FnOnce(EngineError) -> RunError + '_ {
        move |source| RunError::Diffusion { node: node.to_string(), source }
    }
}
