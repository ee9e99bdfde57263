//! The section of a dataset: the output of a run, or plain Parquet files.

use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, DatasetError, FAILURES_FILE, Manifest, head};
use anyflow_plan::order::Order;
use anyflow_plan::plan::Job;
use anyflow_plan::{Format, explain};
use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::cell::Budget;
use super::{Kind, Section, provenance, sheet, trouble};
use crate::compiled::name_of;
use crate::error::Result;
use crate::order;
use crate::progress::{duration, significant};

/// Maximum number of failed rows shown.
const FAILURES_SHOWN: u64 = 50;

/// A section for the output of a run, or one for each Parquet file in the folder.
pub(super) fn sections(folder: &Path, place: &str, rows: u64, budget: &mut Budget) -> Vec<Section> {
    if folder.join("manifest.json").is_file() || folder.join("job.json").is_file() {
        return vec![output(folder, place, rows, budget)];
    }
    tables(folder).into_iter().map(|file| plain(&file, place, rows, budget)).collect()
}

fn output(folder: &Path, place: &str, rows: u64, budget: &mut Budget) -> Section {
    let order = order::read(folder);
    let provenance = provenance::Provenance::read(folder);
    let title = order.as_ref().map_or("dataset", |order| name_of(&order.job).0).to_string();
    let (dataset, facts) = match Manifest::read(folder) {
        Ok(manifest) => (Dataset::open(&[folder.to_path_buf()]), facts(&manifest, provenance.result())),
        // A run in progress shows what it has committed.
        Err(_) => (
            Dataset::open(&committed(folder)),
            vec!["unfinished; run the same command again to complete it".to_string()],
        ),
    };
    let sheet = match dataset {
        Err(DatasetError::Empty { .. }) => html! { p.dim { "No shard is finished yet." } },
        Err(error) => trouble(error),
        Ok(dataset) => match order.as_ref().map(|order| &order.job) {
            Some(Job::Run(plan)) => sheet::sheet(&dataset, Some(&|column| sheet::role(plan, column)), rows, budget),
            _ => sheet::sheet(&dataset, None, rows, budget),
        }
        .unwrap_or_else(trouble),
    };
    let body = html! {
        (sheet)
        div.more {
            @if let Some(order) = &order { (graph(order)) }
            (provenance.details(order.as_ref()))
            (failures(folder))
        }
    };
    Section { kind: Kind::Samples, title, place: place.into(), facts, body }
}

fn plain(file: &Path, place: &str, rows: u64, budget: &mut Budget) -> Section {
    let opened = Dataset::open(&[file.to_path_buf()]);
    let facts = opened.as_ref().map(|dataset| vec![format!("{} rows", dataset.rows())]).unwrap_or_default();
    let sheet = opened.map_err(Into::into).and_then(|dataset| sheet::sheet(&dataset, None, rows, budget));
    let body = sheet.unwrap_or_else(trouble);
    let title = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Section { kind: Kind::Samples, title, place: place.into(), facts, body }
}

fn facts(manifest: &Manifest, result: &Value) -> Vec<String> {
    let count = |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut facts = vec![count(manifest.rows, "row")];
    facts.push(if manifest.failures == 0 { "none failed".into() } else { format!("{} failed", manifest.failures) });
    facts.push(count(manifest.shards.len() as u64, "shard"));
    if let (Some(seconds), Some(rate)) = (result["seconds"].as_f64(), result["rows_per_second"].as_f64()) {
        facts.push(duration(seconds));
        facts.push(format!("{} rows/s", significant(rate)));
    }
    facts
}

/// The graph of the pipeline as an image.
pub(super) fn graph(order: &Order) -> Markup {
    let svg = explain(&order.job, Format::Svg);
    html! {
        @if !svg.trim().is_empty() {
            details open { summary { "Graph" } div.inside { div.graph { (PreEscaped(svg)) } } }
        }
    }
}

fn failures(folder: &Path) -> Markup {
    let path = folder.join(FAILURES_FILE);
    if !path.is_file() {
        return html! {};
    }
    match read_failures(&path) {
        Ok((0, _)) => html! {},
        Ok((count, rows)) => html! {
            details open {
                summary {
                    "Failed rows " span.dim { (count) @if count > FAILURES_SHOWN { ", the first " (FAILURES_SHOWN) " shown" } }
                }
                div.inside { (super::values::table(&rows)) }
            }
        },
        Err(error) => trouble(error),
    }
}

fn read_failures(path: &Path) -> Result<(u64, Value)> {
    let dataset = Dataset::open(&[path.to_path_buf()])?;
    let rows = head(&dataset, FAILURES_SHOWN)?;
    Ok((dataset.rows(), rows.into_iter().map(Value::Object).collect()))
}

/// The committed shards of a run in progress.
fn committed(folder: &Path) -> Vec<PathBuf> {
    let commits = files(&folder.join("commits"), "json");
    let shards = commits.iter().filter_map(|commit| Some(format!("shard-{}.parquet", commit.file_stem()?.to_str()?)));
    shards.map(|name| folder.join("data").join(name)).filter(|shard| shard.is_file()).collect()
}

fn tables(folder: &Path) -> Vec<PathBuf> {
    files(folder, "parquet").into_iter().filter(|path| !path.ends_with(FAILURES_FILE)).collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let fits = |path: &PathBuf| path.extension().is_some_and(|e| e == extension) && path.is_file() && !hidden(path);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(fits).collect();
    files.sort();
    files
}
