//! Errors of stores in the terms of this crate.

use std::error::Error as _;
use std::path::Path;

use object_store::Error;

use crate::error::DatasetError;

/// The error for a request that failed.
pub(super) fn failed(shown: &Path, action: &'static str, error: Error) -> DatasetError {
    let path = shown.to_path_buf();
    match error {
        Error::NotFound { .. } => DatasetError::Missing { path },
        error @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => {
            DatasetError::Denied { path, action, reason: reason(&error) }
        }
        error => DatasetError::Store { path, action, reason: reason(&error) },
    }
}

/// The error with its causes, in one line. Stores answer with pages of XML.
pub(super) fn reason(error: &Error) -> String {
    const MOST: usize = 400;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Cause {
        said: &'static str,
        source: Option<Box<Cause>>,
    }

    fn told(causes: &[&'static str]) -> String {
        let chain = causes.iter().rev().fold(None, |source, said| Some(Box::new(Cause { said, source })));
        reason(&Error::Generic { store: "test", source: chain.unwrap() })
    }

    #[test]
    fn each_cause_is_named_once() {
        assert_eq!(told(&["no answer", "connection refused"]), "Generic test error: no answer: connection refused");
        assert_eq!(
            told(&["no answer: refused", "refused", "by the peer"]),
            "Generic test error: no answer: refused: by the peer"
        );
    }

    #[test]
    fn long_answers_are_cut_and_put_into_one_line() {
        assert_eq!(told(&["a\n  <b>\tc"]), "Generic test error: a <b> c");
        let text = told(&[Box::leak("\u{fc}".repeat(1000).into_boxed_str())]);
        assert_eq!((text.chars().count(), text.ends_with("\u{fc}...")), (403, true));
    }
}
