//! Plans for people and for other programs.

use crate::plan::Job;

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of text.
    Text,
    /// The plan itself.
    Json,
    /// A mermaid flow chart.
    Mermaid,
    /// A picture.
    Svg,
}

/// A plan in the given format.
pub fn explain(_job: &Job, _format: Format) -> String {
    String::new()
}
