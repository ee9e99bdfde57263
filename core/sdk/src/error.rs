//! Errors of plugins.

/// An error of a plugin; the host receives it as a status and a text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The component does not accept the data: an undecodable file, an unknown word. The row fails; the user must fix
    /// the data.
    #[error("{0}")]
    Data(String),
    /// The component does not accept the value of a parameter. The user must change the YAML.
    #[error("parameters: {0}")]
    Parameters(String),
    /// The plugin has a bug; its author must act.
    #[error("{0}")]
    Failed(String),
    /// A libtorch call failed.
    #[cfg(feature = "torch")]
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl From<crate::abi::Unreadable> for Error {
    fn from(why: crate::abi::Unreadable) -> Self {
        Error::Failed(format!("memory that the host passed {why}"))
    }
}

impl Error {
    /// An [`Error::Data`].
    pub fn data(text: impl std::fmt::Display) -> Self {
        Error::Data(text.to_string())
    }

    pub(crate) fn status(&self) -> u32 {
        match self {
            Error::Data(_) | Error::Parameters(_) => crate::abi::status::INVALID,
            _ => crate::abi::status::FAILED,
        }
    }
}
