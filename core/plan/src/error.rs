//! All errors of a compilation, and the report that collects them.
//!
//! A compilation collects all problems. The author of the files must act, unless a problem says otherwise.

use std::fmt;

use serde::Serialize;
use serde_json::Value as Json;

use crate::diagnostic::{Diagnostic, Error, Severity, Warning};
use crate::found::{Found, Links};
use crate::problem::{Coded, Problem};
use crate::render;
use crate::source::{Source, Sources, Span, with_includes};

/// The code of the problem that counts those that are not listed.
const MORE: &str = "more";

/// All errors of a compilation, in the order of the files.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Errors {
    list: Vec<Error>,
    /// Texts from the command line, which errors point into.
    #[serde(skip)]
    overrides: Vec<Source>,
}

impl Errors {
    /// The errors one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Error> {
        self.list.iter()
    }

    /// The number of errors, including those that are only counted; never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        let counted = |last: &Diagnostic| last.parts.get("count").and_then(Json::as_u64).unwrap_or(0) as usize;
        match self.list.last() {
            Some(last) if last.code == MORE => self.list.len() - 1 + counted(last),
            _ => self.list.len(),
        }
    }

    /// The codes of the errors, each once, in the order of the errors.
    pub fn codes(&self) -> Vec<String> {
        let mut codes: Vec<String> = Vec::new();
        for Diagnostic { code, .. } in &self.list {
            if !codes.contains(code) && code != MORE {
                codes.push(code.clone());
            }
        }
        codes
    }

    /// All errors with the offending text underlined. `sources` are the compiled texts.
    pub fn render(&self, sources: &[&Source], color: bool) -> String {
        let sources: Vec<&Source> = with_includes(sources).into_iter().chain(&self.overrides).collect();
        let parts: Vec<String> = self.list.iter().map(|error| render::diagnostic(error, &sources, color)).collect();
        parts.join("\n")
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.list.iter().enumerate() {
            let end = if index + 1 == self.list.len() { "" } else { "\n" };
            write!(f, "{error}{end}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a Error;
    type IntoIter = std::slice::Iter<'a, Error>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Collects errors and warnings while the rules run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    errors: Found,
    warnings: Found,
}

impl Report {
    pub fn error(&mut self, span: Span, problem: impl Coded) {
        self.linked(span, problem, Vec::new());
    }

    /// An error with a second position.
    pub fn error_with(&mut self, span: Span, problem: impl Coded, other: Span, text: impl Into<String>) {
        self.linked(span, problem, vec![(other, text.into())]);
    }

    /// An error with any number of other positions.
    pub fn linked(&mut self, span: Span, problem: impl Coded, links: Links) {
        self.errors.add(span, problem, links);
    }

    /// Something allowed but probably not intended.
    pub fn warning(&mut self, span: Span, problem: impl Coded) {
        self.warnings.add(span, problem, Vec::new());
    }

    /// `None` if there are errors.
    pub fn passed(&self) -> Option<()> {
        self.errors.is_empty().then_some(())
    }

    pub fn failed(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The value if there were no errors, otherwise all errors.
    pub fn finish<T>(self, value: Option<T>, sources: &[&Source], files: usize) -> Result<(T, Vec<Warning>), Errors> {
        let table = Sources(sources);
        match value {
            Some(value) if self.errors.is_empty() => {
                Ok((value, self.warnings.diagnostics(Severity::Warning, table, files)))
            }
            _ => Err(self.into_errors(sources, files)),
        }
    }

    /// All errors found. The first `files` sources are files, the rest are overrides.
    pub fn into_errors(mut self, sources: &[&Source], files: usize) -> Errors {
        if self.errors.is_empty() {
            self.error(Span::default(), Problem::Internal { text: "no plan and no error".into() });
        }
        let overrides = sources.iter().skip(files).map(|source| (*source).clone()).collect();
        Errors { list: self.errors.diagnostics(Severity::Error, Sources(sources), files), overrides }
    }
}
