//! The trait of forms that read what is written, apart from its implementation: mappings and kinds hold forms in turn.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::error::Report;
use crate::problem::Problem;
use crate::source::Span;
use crate::yaml::Node;

/// Forms that read what is written.
pub(crate) trait Reader {
    /// Reads a value; `what` names it in messages. [`ValueForm::Use`] and [`ValueForm::OneOf`] cannot be read here: a spec reads
    /// them entry by entry.
    fn read(&self, node: &Node, what: &str, report: &mut Report) -> Option<Json>;

    /// Reports a value of another form.
    fn wrong(&self, node: &Node, what: &str, report: &mut Report);
}

/// What a form has read, as its type. The form of a type accepts nothing that the type refuses.
pub(crate) fn value<T: DeserializeOwned>(read: Json, what: &str, at: Span, report: &mut Report) -> Option<T> {
    let refused = |error| report.error(at, Problem::Internal { text: format!("{what}: {error}") });
    serde_json::from_value(read).map_err(refused).ok()
}
