//! A value of a row as HTML: image, sound, video or text.

use anyflow_datasets::Media;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use serde_json::Value;

use super::spectrogram;
use crate::command::bytes as size;
use crate::progress::{significant, words};

/// The bytes that may still be embedded: browsers cannot open pages of any size.
pub(super) struct Budget {
    left: usize,
}

/// Maximum bytes of all cells of a page.
const PAGE_BYTES: usize = 48 << 20;
/// Maximum bytes of one cell.
const CELL_BYTES: usize = 6 << 20;
/// Images up to this size are drawn with square pixels.
const SMALL_PX: u32 = 96;
/// Texts up to this length are shown in large letters.
const SHORT_TEXT: usize = 24;
const LONGEST_TEXT: usize = 600;

impl Default for Budget {
    fn default() -> Self {
        Budget { left: PAGE_BYTES }
    }
}

impl Budget {
    /// A data URL; `None` if the cell or the page would become too large.
    fn url(&mut self, media_type: &str, bytes: &[u8]) -> Option<String> {
        if bytes.len() > CELL_BYTES || bytes.len() > self.left {
            return None;
        }
        self.left -= bytes.len();
        Some(format!("data:{media_type};base64,{}", STANDARD.encode(bytes)))
    }
}

/// Shows a media file; `fallback` is the media type of its column.
pub(super) fn media(bytes: &[u8], fallback: &str, budget: &mut Budget) -> Markup {
    let media = Media::from_bytes(bytes);
    let media_type = media.as_ref().map_or(fallback, |media| media.media_type);
    let Some(url) = budget.url(media_type, bytes) else {
        return html! { span.none { (media_type) ", " (size(bytes.len() as u64)) ", too large to embed" } };
    };
    let title = media.as_ref().map(ToString::to_string).unwrap_or_default();
    match media_type.split('/').next() {
        Some("image") => {
            let small = media.and_then(|media| media.width_px.max(media.height_px)).is_some_and(|px| px <= SMALL_PX);
            html! { img.image.small[small] src=(url) alt=(title) title=(title); }
        }
        Some("audio") => sound(bytes, &url, &title, budget),
        Some("video") => html! { video src=(url) title=(title) controls muted loop playsinline {} },
        _ => html! { span.none { (size(bytes.len() as u64)) " of " (media_type) } },
    }
}

fn sound(bytes: &[u8], url: &str, title: &str, budget: &mut Budget) -> Markup {
    let image = spectrogram::png_from_wav(bytes).and_then(|png| budget.url("image/png", &png));
    html! {
        @if let Some(image) = image { img.spectrogram src=(image) alt="spectrogram" title=(title); }
        audio src=(url) controls preload="metadata" title=(title) {}
    }
}

/// Shows a class, text, number or list, as `datasets` returns it.
pub(super) fn value(value: &Value) -> Markup {
    match value {
        Value::Null => html! { span.none { "null" } },
        Value::String(text) => text_of(text),
        Value::Number(number) if number.is_f64() => {
            html! { span.word { (significant(number.as_f64().unwrap_or(0.0))) } }
        }
        Value::Number(number) => html! { span.word { (number) } },
        Value::Bool(truth) => html! { span.word { (truth) } },
        Value::Object(object) => match (object.get("name"), object.get("error")) {
            (Some(name), _) => html! { span.word { (plain(name)) } },
            (_, Some(error)) => html! { span.none { (plain(error)) } },
            _ => html! { span.text.long { (inline(value)) } },
        },
        Value::Array(_) => html! { span.text.long { (inline(value)) } },
    }
}

fn text_of(text: &str) -> Markup {
    let count = text.chars().count();
    if count <= SHORT_TEXT {
        return html! { span.text { "“" (text) "”" } };
    }
    let shown: String = text.chars().take(LONGEST_TEXT).collect();
    html! { span.text.long { (shown) @if count > LONGEST_TEXT { " …" } } }
}

/// A value on one line.
pub(super) fn inline(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => significant(number.as_f64().unwrap_or(0.0)),
        Value::Array(items) => items.iter().map(inline).collect::<Vec<_>>().join(", "),
        Value::Object(object) => match object.get("name") {
            Some(name) => plain(name),
            None => {
                let pairs = object.iter().map(|(key, value)| format!("{} {}", words(key), inline(value)));
                pairs.collect::<Vec<_>>().join(", ")
            }
        },
        other => plain(other),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map(str::to_string).unwrap_or_else(|| value.to_string())
}
