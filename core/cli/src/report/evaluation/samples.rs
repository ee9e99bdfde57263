//! The first rows of each task of the first variant, as the engine wrote them to `samples`.

use std::path::Path;

use anyflow_datasets::Dataset;
use anyflow_plan::findings::{Findings, TaskFindings};
use maud::{Markup, html};

use crate::error::Result;
use crate::report::cell::Budget;
use crate::report::sheet::{self, ColumnRole};
use crate::report::trouble;

/// One panel with the samples of all tasks that have some; the first one is open.
pub(super) fn panels(folder: &Path, findings: &Findings, rows: u64, budget: &mut Budget) -> Markup {
    let mut shown = Vec::new();
    for (index, (name, task)) in findings.tasks.iter().enumerate() {
        let file = folder.join("samples").join(format!("{index}.parquet"));
        if file.is_file() {
            shown.push((name, samples(&file, task, rows, budget).unwrap_or_else(trouble)));
        }
    }
    html! { div.more {
        @for (index, (name, sheet)) in shown.iter().enumerate() {
            details open[index == 0] { summary { "Samples of " (name) } div.inside { (sheet) } }
        }
    } }
}

fn samples(file: &Path, task: &TaskFindings, rows: u64, budget: &mut Budget) -> Result<Markup> {
    let dataset = Dataset::open(&[file.to_path_buf()])?;
    let role = |column: &str| match column {
        made if task.generate.iter().any(|stream| stream == made) => ColumnRole::Made,
        class if class == "class" || class.starts_with("predicted class") => ColumnRole::Carried,
        _ => ColumnRole::Given,
    };
    sheet::sheet(&dataset, Some(&role), rows, budget)
}
