//! Errors of the cluster.

use anyflow_datasets::DatasetError;
use anyflow_plan::event::Fault;

/// The result type of this program.
pub type Result<T, E = ClusterError> = std::result::Result<T, E>;

/// Begins and ends an error of ours inside a text of Ballista.
const MARKS: [char; 2] = ['⟦', '⟧'];

/// Why a command or a task failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// The user must start the scheduler, or correct the address.
    #[error("no scheduler answers at {address} ({reason}); start `anyflow-cluster scheduler`, or correct the address")]
    NoScheduler {
        /// Its address.
        address: String,
        /// What the connection says.
        reason: String,
    },
    /// The user must use one release.
    #[error("{found}; use programs of one release everywhere")]
    Release {
        /// The versions.
        found: String,
    },
    /// The user must install the same plugins on each machine.
    #[error("worker {worker}: {found}; install the plugins of the machine that starts the job on each worker")]
    Plugins {
        /// The worker.
        worker: String,
        /// The plugins that differ.
        found: String,
    },
    /// A worker refuses the job, or all fail.
    #[error("{text}")]
    Job {
        /// Who must act.
        fault: Fault,
        /// The whole sentence.
        text: String,
    },
    /// Ballista failed. The same command goes on.
    #[error("the cluster failed: {0}; committed shards are kept, run the same command again")]
    Ballista(String),
    /// The data or the store.
    #[error("{text}")]
    Data {
        /// Who must act.
        fault: Fault,
        /// The whole sentence.
        text: String,
    },
    /// The user's arguments.
    #[error("{0}")]
    Usage(String),
    /// Our own fault.
    #[error("internal error: {0}")]
    Internal(String),
}

impl ClusterError {
    /// Our own fault.
    pub fn internal(error: impl ToString) -> Self {
        ClusterError::Internal(error.to_string())
    }

    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ClusterError::NoScheduler { .. } => "cluster.no-scheduler",
            ClusterError::Release { .. } => "cluster.release",
            ClusterError::Plugins { .. } => "cluster.plugins",
            ClusterError::Job { .. } => "cluster.job",
            ClusterError::Ballista(_) => "cluster.ballista",
            ClusterError::Data { .. } => "cluster.data",
            ClusterError::Usage(_) => "usage",
            ClusterError::Internal(_) => "internal",
        }
    }

    /// Who must act.
    pub fn fault(&self) -> Fault {
        match self {
            ClusterError::NoScheduler { .. } | ClusterError::Ballista(_) => Fault::Run,
            ClusterError::Release { .. } | ClusterError::Usage(_) => Fault::User,
            ClusterError::Plugins { .. } => Fault::Plugin,
            ClusterError::Job { fault, .. } | ClusterError::Data { fault, .. } => *fault,
            ClusterError::Internal(_) => Fault::Internal,
        }
    }

    /// The error with its code. What a worker says has it already.
    pub fn told(&self) -> String {
        match self {
            ClusterError::Job { text, .. } => text.clone(),
            other => format!("{}: {other}", other.code()),
        }
    }

    /// The error with its code, in a form that [`ClusterError::found_in`] finds in a longer text.
    pub fn marked(&self) -> String {
        let [begin, end] = MARKS;
        let word = match self.fault() {
            Fault::Run => "run",
            Fault::User => "user",
            Fault::Plugin => "plugin",
            Fault::Internal => "internal",
        };
        format!("{begin}{word} {}{end}", self.told())
    }

    /// The error of a worker in what Ballista says.
    pub fn found_in(text: &str) -> Option<ClusterError> {
        let [begin, end] = MARKS;
        let marked = text.split_once(begin)?.1.split_once(end)?.0;
        let (word, text) = marked.split_once(' ')?;
        let fault = match word {
            "user" => Fault::User,
            "plugin" => Fault::Plugin,
            "internal" => Fault::Internal,
            _ => Fault::Run,
        };
        // Ballista quotes texts.
        Some(ClusterError::Job { fault, text: text.replace("\\\"", "\"").replace("\\n", "\n") })
    }
}

impl From<DatasetError> for ClusterError {
    fn from(error: DatasetError) -> Self {
        let fault = match error.fault() {
            anyflow_datasets::Fault::Run => Fault::Run,
            anyflow_datasets::Fault::User => Fault::User,
            anyflow_datasets::Fault::Plugin => Fault::Plugin,
            anyflow_datasets::Fault::Internal => Fault::Internal,
        };
        ClusterError::Data { fault, text: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_worker_is_found_in_what_ballista_says() {
        let error = ClusterError::Plugins { worker: "a".into(), found: "plugin `x` is missing".into() };
        let said = format!("Job 7 failed: Task failed: DataFusionError(Execution({:?}))", error.marked());
        let found = ClusterError::found_in(&said).unwrap();
        assert_eq!(found.fault(), Fault::Plugin);
        assert_eq!(found.to_string(), format!("cluster.plugins: {error}"));
        assert_eq!(ClusterError::found_in("Job 7 failed: no executor"), None);
    }
}
