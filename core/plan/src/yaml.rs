//! YAML as a tree in which every key and value has its position.
//!
//! `Spanned` loses its position inside enums that serde buffers, so the tree is deserialized by hand. Anchors are allowed
//! within narrow limits. Merge keys, includes and several documents in a file are refused.

mod hints;
mod raw;

use std::collections::HashMap;

use serde_json::{Map, Number, Value as Json};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Location, Options, Spanned as Located};

use crate::error::Report;
use crate::problem::Problem;
use crate::source::{SourceId, Span, Spanned, SpannedString};
use crate::yaml::raw::Raw;

/// A value with its position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub span: Span,
    pub content: Content,
}

/// The forms of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Null,
    Flag(bool),
    Number(Number),
    String(String),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub key: SpannedString,
    pub node: Node,
}

impl Node {
    /// The value without positions.
    pub fn json(&self) -> Json {
        match &self.content {
            Content::Null => Json::Null,
            Content::Flag(flag) => Json::Bool(*flag),
            Content::Number(number) => Json::Number(number.clone()),
            Content::String(text) => Json::String(text.clone()),
            Content::List(items) => items.iter().map(Node::json).collect(),
            Content::Mapping(entries) => Json::Object(
                entries.iter().map(|entry| (entry.key.value.clone(), entry.node.json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The value in messages.
    pub fn found(&self) -> String {
        self.found_for("a number")
    }

    /// The value in messages that say what is expected.
    pub fn found_for(&self, expected: &str) -> String {
        let is_integer = expected.starts_with("an integer");
        match &self.content {
            Content::Null => "nothing".into(),
            Content::Flag(flag) => format!("`{flag}`"),
            Content::Number(number) => format!("the number {number}{}", hints::of_number(number)),
            Content::String(text) => format!("the string `{text}`{}", hints::of_string(text, is_integer)),
            Content::List(_) => "a list".into(),
            Content::Mapping(_) => "a mapping".into(),
        }
    }
}

/// Reads a text; syntax errors and duplicate keys are reported.
pub(crate) fn parse(text: &str, source: SourceId, report: &mut Report) -> Option<Node> {
    match serde_saphyr::from_str_with_options::<Located<Raw>>(text, options()) {
        Ok(located) => Some(node(located, text, source, report)),
        Err(error) => {
            let span = error.location().map_or(Span { source, start: 0, end: 0 }, |at| found_at(at, text, source));
            let words = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let (span, words) = match hints::odd_space(text, span.start) {
                Some(odd) => (Span { source, start: odd.at, end: odd.at + odd.bytes }, odd.words),
                None => (span, hints::of_syntax(&bare(&words))),
            };
            report.error(span, Problem::Syntax { text: words });
            None
        }
    }
}

/// YAML 1.2 only, with tight limits on aliases, which could expand a small file to a huge tree.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_documents: 2, max_nodes: 100_000, max_depth: 24, max_events: 300_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000, max_replay_stack_depth: 8 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    }
}

/// The parser's message without its own position.
fn bare(text: &str) -> String {
    let line = text.lines().next().unwrap_or(text);
    let line = line.split(" at line ").next().unwrap_or(line);
    line.strip_prefix("error: ").unwrap_or(line).trim_end_matches([' ', ':', ',']).to_string()
}

fn span(at: Location, source: SourceId) -> Span {
    let start = at.span().byte_offset().unwrap_or(0) as usize;
    let length = at.span().byte_len().unwrap_or(0) as usize;
    Span { source, start, end: start + length }
}

/// The position of an error, which the scanner reports by line and column only.
fn found_at(at: Location, text: &str, source: SourceId) -> Span {
    if at.span().byte_offset().is_some() {
        return span(at, source);
    }
    let line = at.line().max(1) as usize - 1;
    let column = at.column().max(1) as usize - 1;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(before..).unwrap_or("");
    let start = before + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    Span { source, start, end: start + 1 }
}

fn node(located: Located<Raw>, text: &str, source: SourceId, report: &mut Report) -> Node {
    let at = span(located.referenced, source);
    let content = match located.value {
        Raw::Null => Content::Null,
        Raw::Flag(flag) => Content::Flag(flag),
        Raw::Number(number) => {
            let written = span(located.defined, source);
            let written = text.get(written.start..written.end).filter(|written| hints::binary(written).is_some());
            // The parser reads binary numbers, which YAML 1.2 has not.
            written.map_or(Content::Number(number), |written| Content::String(written.into()))
        }
        Raw::String(string) => Content::String(string),
        Raw::List(items) => Content::List(items.into_iter().map(|item| node(item, text, source, report)).collect()),
        Raw::Mapping(entries) => Content::Mapping(mapping(entries, text, source, report)),
    };
    Node { span: at, content }
}

fn mapping(raw: Vec<(Located<String>, Located<Raw>)>, text: &str, source: SourceId, report: &mut Report) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
    let mut first: HashMap<String, Span> = HashMap::with_capacity(raw.len());
    for (key, value) in raw {
        let key = Spanned::new(key.value, span(key.referenced, source));
        let node = node(value, text, source, report);
        if let Some(comma) = hints::decimal_comma(entries.last(), &key, &node, text) {
            report.error(Span { source, start: comma.start, end: comma.end }, Problem::Syntax { text: comma.words });
            continue;
        }
        match first.get(&key.value) {
            Some(first) => {
                let problem = Problem::Duplicate { what: "key".into(), name: key.value };
                report.error_with(key.span, problem, *first, "first given here");
            }
            None => {
                first.insert(key.value.clone(), key.span);
                entries.push(Entry { key, node });
            }
        }
    }
    entries
}

#[cfg(test)]
mod tests;
