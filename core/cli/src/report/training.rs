//! A training: the curves of its stages and its summary.

use std::path::Path;

use maud::{Markup, html};
use serde_json::Value;

use super::curves::{self, Figures};
use super::{Kind, Section, dataset, plot, provenance, values};
use crate::compiled::name_of;
use crate::progress::{duration, significant, words};
use crate::{order, regular};

/// The section of a training folder.
pub(super) fn section(folder: &Path, place: &str) -> Option<Section> {
    let metrics = folder.join("metrics.jsonl");
    let summary = folder.join("train.json");
    if !metrics.is_file() && !summary.is_file() {
        return None;
    }
    let summary: Option<Value> = regular::json(&summary);
    let stages = curves::read(&metrics);
    let order = order::read(folder);
    let named = summary.as_ref().and_then(|summary| summary["name"].as_str());
    let title = named.or(order.as_ref().map(|order| name_of(&order.job).0)).unwrap_or("training").to_string();
    let body = html! {
        div.stages { @for (name, figures) in &stages { (stage(name, figures, summary.as_ref())) } }
        @if let Some(summary) = &summary { div.panel { h3 { "Summary" } (values::table(summary)) } }
        div.more {
            @if let Some(order) = &order {
                (dataset::graph(order))
                (provenance::Provenance::read(folder).details(Some(order)))
            }
        }
    };
    let state = if summary.is_some() { "finished" } else { "unfinished: the same command resumes" };
    let facts = vec![state.to_string(), format!("{} stages with curves", stages.len())];
    Some(Section { kind: Kind::Training, title, place: place.into(), facts, body })
}

fn stage(name: &str, figures: &Figures, summary: Option<&Value>) -> Markup {
    let main = figures.get("loss").or_else(|| figures.values().next());
    let others = figures.iter().filter(|(name, _)| !["loss", "seconds"].contains(&name.as_str()));
    let last = |series: &curves::Series| series.last().map(|point| significant(point.1)).unwrap_or_default();
    let seconds = figures.get("seconds").and_then(|series| series.last()).map(|point| duration(point.1));
    let total = summary.and_then(|summary| {
        summary["stages"].as_array()?.iter().find(|stage| stage["stage"] == name)?["seconds"].as_f64().map(duration)
    });
    html! {
        div.panel {
            h3 {
                (name) " "
                span.dim { @if let Some(main) = main { "loss " (last(main)) } @if let Some(time) = total.or(seconds) { ", " (time) } }
            }
            @if let Some(main) = main { (plot::line(main, plot::LARGE)) }
            div.plots {
                @for (name, series) in others {
                    div { span.dim { (words(name)) " " (last(series)) } (plot::line(series, plot::SMALL)) }
                }
            }
        }
    }
}
