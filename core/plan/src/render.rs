//! Draws a message with the lines it speaks of, in the manner of rustc.

use crate::error::Diagnostic;
use crate::source::{Place, Source};

/// Characters of a source line that are shown at most.
const WIDTH: usize = 110;

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const PLAIN: &str = "\x1b[0m";

/// One message, its place and its related places.
pub(crate) fn diagnostic<P>(severity: &str, message: &Diagnostic<P>, sources: &[&Source], color: bool) -> String {
    let tint = if severity == "error" { RED } else { YELLOW };
    let mut out = format!("{}: {}\n", painted(severity, tint, color), painted(&message.message, BOLD, color));
    out.push_str(&excerpt(&message.place, '^', "", sources, color, tint));
    for related in &message.related {
        out.push_str(&excerpt(&related.place, '-', &related.text, sources, color, BLUE));
    }
    out
}

fn excerpt(place: &Place, mark: char, text: &str, sources: &[&Source], color: bool, tint: &str) -> String {
    let margin = " ".repeat(place.line.to_string().len());
    let bar = painted("|", BLUE, color);
    let arrow = painted("-->", BLUE, color);
    let mut out = format!("{margin}{arrow} {}:{}:{}\n", place.file, place.line, place.column);
    let Some(line) = line_of(place, sources) else {
        return if text.is_empty() { out } else { out + &format!("{margin} = {text}\n") };
    };
    let (shown, column) = cropped(line, place.column - 1);
    let length = place.length.min(shown.chars().count().saturating_sub(column)).max(1);
    let marks = mark.to_string().repeat(length) + if text.is_empty() { "" } else { " " } + text;
    out.push_str(&format!("{margin} {bar}\n"));
    out.push_str(&format!("{} {bar} {shown}\n", painted(&place.line.to_string(), BLUE, color)));
    out.push_str(&format!("{margin} {bar} {}{}\n", " ".repeat(column), painted(&marks, tint, color)));
    out
}

fn line_of<'a>(place: &Place, sources: &[&'a Source]) -> Option<&'a str> {
    let source = sources.iter().find(|source| source.path == place.file)?;
    source.text.lines().nth(place.line - 1)
}

/// The part of a long line around a column, and the column in it.
fn cropped(line: &str, column: usize) -> (String, usize) {
    let line = line.replace('\t', " ");
    let count = line.chars().count();
    if count <= WIDTH {
        return (line, column);
    }
    let first = column.saturating_sub(WIDTH / 2).min(count - WIDTH);
    let shown: String = line.chars().skip(first).take(WIDTH).collect();
    let head = if first > 0 { "... " } else { "" };
    let tail = if first + WIDTH < count { " ..." } else { "" };
    (format!("{head}{shown}{tail}"), column - first + head.len())
}

fn painted(text: &str, tint: &str, color: bool) -> String {
    if color { format!("{tint}{text}{PLAIN}") } else { text.to_string() }
}
