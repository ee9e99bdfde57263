//! Renders a message with the source lines it refers to, in the style of rustc.

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::{Place, Source, with_includes};
use crate::style::{Style, painted as styled};

/// Maximum number of shown characters of a source line.
const WIDTH: usize = 110;

impl Diagnostic {
    /// The message, with the text it refers to underlined.
    pub fn render(&self, sources: &[&Source], color: bool) -> String {
        diagnostic(self, &with_includes(sources), color)
    }
}

/// Renders one message with its position and related positions.
pub(crate) fn diagnostic(message: &Diagnostic, sources: &[&Source], color: bool) -> String {
    let (severity, tint) = match message.severity {
        Severity::Error => ("error", Style::Red),
        Severity::Warning => ("warning", Style::Yellow),
    };
    let mut out = format!(
        "{}: {}\n",
        painted(severity, tint, color),
        painted(&on_one_line(&message.message), Style::Bold, color)
    );
    out.push_str(&excerpt(&message.place, '^', "", sources, color, tint));
    for related in &message.related {
        out.push_str(&excerpt(&related.place, '-', &related.text, sources, color, Style::Blue));
    }
    out
}

fn excerpt(place: &Place, mark: char, text: &str, sources: &[&Source], color: bool, tint: Style) -> String {
    let margin = " ".repeat(place.line.to_string().len());
    let bar = painted("|", Style::Blue, color);
    let arrow = painted("-->", Style::Blue, color);
    let text = &on_one_line(text);
    let mut out = format!("{margin}{arrow} {}:{}:{}\n", on_one_line(&place.file), place.line, place.column);
    let Some(line) = line_of(place, sources) else {
        return if text.is_empty() { out } else { out + &format!("{margin} = {text}\n") };
    };
    let (shown, column) = cropped(line, place.column - 1);
    let length = place.length.min(shown.chars().count().saturating_sub(column)).max(1);
    let marks = mark.to_string().repeat(length) + if text.is_empty() { "" } else { " " } + text;
    out.push_str(&format!("{margin} {bar}\n"));
    out.push_str(&format!("{} {bar} {shown}\n", painted(&place.line.to_string(), Style::Blue, color)));
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

/// Names from files must not begin a line of their own.
fn on_one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

fn painted(text: &str, tint: Style, color: bool) -> String {
    if color { styled(text, tint) } else { text.to_string() }
}
