//! The page around the sections: head, style, title, contents.

use std::time::{SystemTime, UNIX_EPOCH};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Section;
use super::provenance::date;

const STYLE: &str = include_str!("style.css");

/// A second line of defence: even if markup is injected, browsers run no scripts and load nothing.
const POLICY: &str = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'";

/// Renders the whole page.
pub(super) fn page(name: &str, sections: &[Section]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (name) " · Anyflow report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.page {
                    p.brand { "Anyflow report" }
                    h1 { (name) }
                    p.dim { "written " (date(now)) " by anyflow " (env!("CARGO_PKG_VERSION")) }
                    @if sections.len() > 1 { (contents(sections)) }
                }
                main { @for (index, section) in sections.iter().enumerate() { (part(index, section)) } }
            }
        }
    };
    page.into_string()
}

fn contents(sections: &[Section]) -> Markup {
    html! {
        nav {
            @for (index, section) in sections.iter().enumerate() {
                a href={ "#part-" (index) } {
                    span.kind { (section.kind.word()) }
                    b { (section.title) }
                    @if !section.place.is_empty() { span.place { (section.place) } }
                    @if let Some(fact) = section.facts.first() { span.dim { (fact) } }
                }
            }
        }
    }
}

fn part(index: usize, section: &Section) -> Markup {
    html! {
        section id={ "part-" (index) } {
            header {
                p.kind { (section.kind.word()) }
                h2 { (section.title) @if !section.place.is_empty() { " " span.place { (section.place) } } }
                @if !section.facts.is_empty() {
                    p.facts { @for fact in &section.facts { span { (fact) } } }
                }
            }
            (section.body)
        }
    }
}
