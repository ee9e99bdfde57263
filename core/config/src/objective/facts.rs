//! The facts about an objective that need no tensor.

use indexmap::IndexMap;

use crate::State;

/// The facts about a kind of objective, for the planner. Each has a default.
pub trait ObjectiveFacts {
    /// The streams that take part; `None` for all.
    fn streams(&self) -> Option<&[String]> {
        None
    }

    /// The states of streams in turn, if it has such patterns. Their streams must take part, and each needs a loss.
    fn patterns(&self) -> Option<&[IndexMap<String, State>]> {
        None
    }

    /// A stream whose prediction it compares with the true value; it must take part.
    fn compared(&self) -> Option<&String> {
        None
    }

    /// A prompt or stream that it compares with the trained one. Their embeddings have the same size.
    fn partner(&self) -> Option<&String> {
        None
    }

    /// True if it needs the class of each row.
    fn needs_class(&self) -> bool {
        false
    }
}
