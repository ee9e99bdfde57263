//! Source texts, and positions in them.

use serde::Serialize;

/// A text with its name in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path, as the user gave it.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// Files that are parts of it, as [`includes`](crate::includes) names them.
    pub includes: Vec<Source>,
}

impl Source {
    /// A source from its path and text.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Source { path: path.into(), text: text.into(), includes: Vec::new() }
    }

    /// The folder part of the path, without the last slash; `None` without a folder.
    pub(crate) fn folder(&self) -> Option<&str> {
        self.path.rfind('/').map(|slash| if slash == 0 { "/" } else { &self.path[..slash] })
    }

    /// `path` relative to the folder of this source. Absolute paths and URLs stay; other paths are joined textually.
    pub(crate) fn beside(&self, path: &str) -> String {
        match self.folder() {
            Some(folder) => joined(folder, path),
            None => path.to_string(),
        }
    }
}

/// The files of a compilation, followed by all files that they include.
pub(crate) fn with_includes<'a>(files: &[&'a Source]) -> Vec<&'a Source> {
    let mut all = files.to_vec();
    let mut next = 0;
    while let Some(source) = all.get(next).copied() {
        all.extend(&source.includes);
        next += 1;
    }
    all
}

/// `path` joined to `folder` textually. Absolute paths and URLs stay.
pub(crate) fn joined(folder: &str, path: &str) -> String {
    if path.starts_with('/') || path.contains("://") || folder.is_empty() {
        return path.to_string();
    }
    let path = path.strip_prefix("./").unwrap_or(path);
    format!("{}/{path}", folder.trim_end_matches('/'))
}

/// A path without `.` and `..`, as far as its text says: `a/b/../c.yaml` is `a/c.yaml`. URLs stay.
pub(crate) fn normalized(path: &str) -> String {
    if path.contains("://") {
        return path.to_string();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// Index of a source of a compilation: the file itself, a model, or an override.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct SourceId(pub usize);

/// A range of bytes in a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub source: SourceId,
    pub start: usize,
    pub end: usize,
}

/// A value with its position.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

/// A string with its position.
pub(crate) type SpannedString = Spanned<String>;

impl<T> Spanned<T> {
    pub fn new(value: T, span: Span) -> Self {
        Spanned { value, span }
    }
}

/// A position in messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Path of the source.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Number of characters on that line, at least 1.
    pub length: usize,
}

/// The sources of one compilation, by id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'a>(pub &'a [&'a Source]);

impl Sources<'_> {
    /// The position of a span. A span over several lines is cut at the end of its first line.
    pub fn place(&self, span: Span) -> Place {
        let Some(source) = self.0.get(span.source.0) else {
            return Place { file: String::new(), line: 1, column: 1, length: 1 };
        };
        let text = source.text.as_str();
        let start = floor_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor_boundary(text, span.end).clamp(start, line_end);
        Place {
            file: source.path.clone(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            length: text[start..end].trim_end().chars().count().max(1),
        }
    }
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let source = Source::new("a/b.yaml", "one\ntwö three\n");
        let place = Sources(&[&source]).place(Span { source: SourceId(0), start: 9, end: 14 });
        assert_eq!((place.line, place.column, place.length), (2, 5, 5));
    }

    #[test]
    fn paths_are_joined_textually() {
        let source = Source::new("a/b.yaml", "");
        assert_eq!(source.beside("c.yaml"), "a/c.yaml");
        assert_eq!(source.beside("../c.yaml"), "a/../c.yaml");
        assert_eq!(source.beside("/c.yaml"), "/c.yaml");
        assert_eq!(source.beside("s3://x/c"), "s3://x/c");
        assert_eq!(Source::new("b.yaml", "").beside("./c.yaml"), "./c.yaml");
    }

    #[test]
    fn one_file_has_one_normalized_path() {
        let paths = ["a/b/../c.yaml", "./a//c.yaml", "../a/c.yaml", "/a/./b/../../c", "../../x", "s3://a/../b"];
        let wanted = ["a/c.yaml", "a/c.yaml", "../a/c.yaml", "/c", "../../x", "s3://a/../b"];
        assert_eq!(paths.map(normalized), wanted);
    }
}
