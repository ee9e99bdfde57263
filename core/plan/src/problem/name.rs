//! Reasons why a name cannot be used.

use serde::Serialize;

/// A reason why a name cannot be used.
#[derive(Debug, thiserror::Error, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NameFault {
    #[error("it is empty")]
    Empty,
    #[error("a dot separates a node from its port")]
    Dot,
    #[error("it contains a space")]
    Space,
    #[error("it becomes the name of a file or folder, so it must not contain `/` or `\\`")]
    Slash,
    #[error("it becomes the name of a file or folder, so it must not begin with a dot")]
    Hidden,
    #[error("it contains a control character")]
    Control,
    #[error("it has {bytes} bytes; the maximum is {most}")]
    TooLong { bytes: usize, most: usize },
}
