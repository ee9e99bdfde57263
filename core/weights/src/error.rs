//! What can be wrong with a file of weights. The texts follow the file's name, which the caller knows.

/// Result of this crate.
pub type Result<T, E = WeightsError> = std::result::Result<T, E>;

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The user must correct the path, or the machine must be looked at.
    #[error("cannot be read: {0}")]
    Read(std::io::Error),
    /// The user must copy or write the file again.
    #[error("is no whole safetensors file: {0}")]
    Foreign(String),
    /// The user must restore the file; or it was changed on purpose.
    #[error(
        "holds something else than when it was written (hash {found}, its own record says {expected}): it is damaged or was \
         changed; restore it from a copy, or, if the change is wanted, remove `{}` from its metadata",
        crate::CONTENT_KEY
    )]
    Damaged {
        /// What its metadata say.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// The user must look at disk and permissions.
    #[error("cannot be written: {0}")]
    Write(std::io::Error),
}

impl WeightsError {
    pub(crate) fn foreign(reason: impl ToString) -> Self {
        WeightsError::Foreign(reason.to_string())
    }
}
