//! Errors and warnings found by the rules: each once, up to a maximum number.

use std::collections::HashSet;
use std::fmt;

use crate::error::{Diagnostic, Related};
use crate::problem::Surplus;
use crate::source::{SourceId, Sources, Span};

/// Maximum number of listed items; further ones are only counted.
const MOST: usize = 100;

/// Other positions of a message, not yet resolved.
pub(crate) type Links = Vec<(Span, String)>;

/// Problems or cautions, in the order in which they were found.
#[derive(Debug)]
pub(crate) struct Found<P> {
    kept: Vec<(Span, P, Links)>,
    /// Position and text of each, including those that are only counted.
    seen: HashSet<(Span, String)>,
}

impl<P> Default for Found<P> {
    fn default() -> Self {
        Found { kept: Vec::new(), seen: HashSet::new() }
    }
}

impl<P: fmt::Display + Surplus> Found<P> {
    /// Adds an item, unless it is known.
    pub fn add(&mut self, span: Span, problem: P, links: Links) {
        if self.seen.insert((span, problem.to_string())) && self.kept.len() < MOST {
            self.kept.push((span, problem, links));
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &P> {
        self.kept.iter().map(|(_, problem, _)| problem)
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// All items in the order of the files. The first `files` sources are files, the rest are overrides.
    pub fn diagnostics(mut self, sources: Sources, files: usize) -> Vec<Diagnostic<P>> {
        // Overrides are the last sources, but their errors come first.
        self.kept.sort_by_key(|(span, _, _)| (order(span.source, files), span.start));
        let more = self.seen.len() - self.kept.len();
        let last = self.kept.last().map_or(Span::default(), |(span, ..)| *span);
        let surplus = (more > 0).then(|| (last, P::surplus(more), Links::new()));
        let all = self.kept.into_iter().chain(surplus);
        all.map(|(span, problem, links)| diagnostic(span, problem, links, sources)).collect()
    }
}

fn order(source: SourceId, files: usize) -> usize {
    if source.0 >= files { 0 } else { source.0 + 1 }
}

fn diagnostic<P: fmt::Display>(span: Span, problem: P, links: Links, sources: Sources) -> Diagnostic<P> {
    let related = links.into_iter().map(|(at, text)| Related { text, place: sources.place(at) }).collect();
    Diagnostic { message: problem.to_string(), problem, place: sources.place(span), related }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;
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
        let listed = found.diagnostics(Sources(&[&source]), 1);
        assert_eq!((listed.len(), listed[99].place.line), (MOST + 1, 100));
        assert_eq!(listed[100].message, "and 29900 more");
    }
}
