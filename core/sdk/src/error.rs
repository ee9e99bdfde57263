//! Why a plugin could not do what it was asked.

/// An error of a plugin, told to the host as a status and a text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data is not what the component can take: an undecodable file, an unknown word. The row fails; the user
    /// must mend the data.
    #[error("{0}")]
    Data(String),
    /// A parameter has a value that the component cannot take. The user must change the YAML.
    #[error("parameters: {0}")]
    Parameters(String),
    /// The plugin itself went wrong; its author must act.
    #[error("{0}")]
    Failed(String),
    /// libtorch refused an operation.
    #[cfg(feature = "torch")]
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl From<crate::abi::Unreadable> for Error {
    fn from(why: crate::abi::Unreadable) -> Self {
        Error::Failed(format!("what the host passed {why}"))
    }
}

impl Error {
    /// A [`Error::Data`].
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
