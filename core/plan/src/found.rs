//! Errors and warnings found by the rules: each once, up to a maximum number.

use std::collections::HashSet;

use serde_json::{Map, Value as Json};

use crate::diagnostic::{Diagnostic, Related, Severity};
use crate::problem::{Coded, Problem};
use crate::source::{SourceId, Sources, Span};

/// Maximum number of listed items; further ones are only counted.
const MOST: usize = 100;

/// Other positions of a message, not yet resolved.
pub(crate) type Links = Vec<(Span, String)>;

/// Problems or cautions, in the order in which they were found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    kept: Vec<Item>,
    /// Position and text of each, including those that are only counted.
    seen: HashSet<(Span, String)>,
}

/// A problem as its code, parts and text, with its position.
#[derive(Debug)]
struct Item {
    span: Span,
    code: String,
    parts: Map<String, Json>,
    message: String,
    links: Links,
}

impl Found {
    /// Adds an item, unless it is known.
    pub fn add(&mut self, span: Span, problem: impl Coded, links: Links) {
        if self.seen.insert((span, problem.to_string())) && self.kept.len() < MOST {
            self.kept.push(Item::new(span, &problem, links));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// All items in the order of the files. The first `files` sources are files, the rest are overrides.
    pub fn diagnostics(mut self, severity: Severity, sources: Sources, files: usize) -> Vec<Diagnostic> {
        // Overrides are the last sources, but their errors come first.
        self.kept.sort_by_key(|item| (order(item.span.source, files), item.span.start));
        let count = self.seen.len() - self.kept.len();
        let last = self.kept.last().map_or(Span::default(), |item| item.span);
        let surplus = (count > 0).then(|| Item::new(last, &Problem::More { count }, Links::new()));
        self.kept.into_iter().chain(surplus).map(|item| item.diagnostic(severity, sources)).collect()
    }
}

fn order(source: SourceId, files: usize) -> usize {
    if source.0 >= files { 0 } else { source.0 + 1 }
}

impl Item {
    fn new(span: Span, problem: &impl Coded, links: Links) -> Item {
        let parts = match serde_json::to_value(problem) {
            Ok(Json::Object(parts)) => parts,
            _ => Map::new(), // a problem without parts
        };
        Item { span, code: problem.code(), parts, message: problem.to_string(), links }
    }

    fn diagnostic(self, severity: Severity, sources: Sources) -> Diagnostic {
        let Item { span, code, parts, message, links } = self;
        let related = links.into_iter().map(|(at, text)| Related { text, place: sources.place(at) }).collect();
        Diagnostic { severity, code, parts, message, place: sources.place(span), related }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn each_is_listed_once_and_the_rest_is_counted() {
        let text = "x\n".repeat(30_000);
        let source = Source::new("f.yaml", text);
        let mut found = Found::default();
        for start in (0..30_000).chain(0..30_000) {
            let span = Span { source: SourceId(0), start: 2 * start, end: 2 * start + 1 };
            found.add(span, Problem::Syntax { text: "wrong".into() }, Vec::new());
        }
        let listed = found.diagnostics(Severity::Error, Sources(&[&source]), 1);
        assert_eq!((listed.len(), listed[99].place.line), (MOST + 1, 100));
        assert_eq!(listed[100].message, "and 29900 more");
    }
}
