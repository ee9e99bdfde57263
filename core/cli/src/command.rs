//! The commands, one file each: arguments and implementation.

pub mod adopt;
pub mod check;
pub mod completions;
pub mod data;
pub mod doctor;
pub mod engine;
pub mod eval;
pub mod explain;
pub mod finish;
pub mod gc;
pub mod jobs;
pub mod plan;
pub mod plugin;
pub mod report;
pub mod run;
pub mod serve;
pub mod train;
pub mod work;

use std::path::{Path, PathBuf};

use anyflow_datasets::Dataset;
use anyflow_plan::descriptor::CellKind;
use anyflow_plan::style::WIDEST_COLUMN;
use serde_json::Value;

use crate::catalog::InstalledPlugins;
use crate::console::Console;
use crate::error::Result;
use crate::escape;
use crate::progress::{figure, words};

/// Finds the plugins and warns of files that should be plugins but are not.
///
/// # Errors
/// Two plugins of one name; an allow list that cannot be used.
fn plugins(console: &Console) -> Result<InstalledPlugins> {
    let plugins = InstalledPlugins::discover()?;
    for broken in &plugins.broken {
        console.warn(&format!("{}: {}", broken.path.display(), broken.reason));
    }
    plugins.notes.iter().for_each(|note| console.warn(note));
    Ok(plugins)
}

/// The columns of a dataset, as the planner takes them.
fn columns(dataset: &Dataset) -> Vec<(String, Option<CellKind>)> {
    let kind = |kind| match kind {
        anyflow_datasets::CellKind::Bytes => CellKind::Bytes,
        anyflow_datasets::CellKind::Utf8 => CellKind::Utf8,
        anyflow_datasets::CellKind::I64 => CellKind::I64,
        anyflow_datasets::CellKind::F64 => CellKind::F64,
        anyflow_datasets::CellKind::List(depth) => CellKind::List(depth),
        anyflow_datasets::CellKind::Files => CellKind::Files,
    };
    dataset.features().iter().map(|(name, feature)| (name.clone(), feature.cell().map(kind))).collect()
}

/// The numbers and texts of a result, one per line.
fn summary(result: &Value) -> String {
    let Some(object) = result.as_object() else { return String::new() };
    let one_line = |text: String| escape::line(&text).into_owned();
    let shown = object.iter().filter_map(|(name, value)| Some((one_line(words(name)), one_line(figure(value)?))));
    let shown: Vec<(String, String)> = shown.collect();
    let width = shown.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(WIDEST_COLUMN);
    shown.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

/// Columns of text, each as wide as its widest cell, up to [`WIDEST_COLUMN`]. A row stays one line, whatever its cells hold.
pub fn table(rows: &[Vec<String>]) -> String {
    let one_line = |row: &Vec<String>| row.iter().map(|cell| escape::line(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(one_line).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).min(WIDEST_COLUMN)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// A path as it is, for JSON.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A path for messages, on one line.
fn quoted(path: &Path) -> String {
    escape::line(&shown(path)).into_owned()
}

/// Opens a dataset of files and folders.
pub fn open(paths: &[PathBuf]) -> Result<Dataset> {
    Ok(Dataset::open(paths)?)
}

/// `1.2 MB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut size = count as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_tables_are_for_people() {
        assert_eq!([0, 999, 1000, 61_500_000].map(bytes), ["0 B", "999 B", "1.0 kB", "61.5 MB"]);
        let rows = [vec!["a".into(), "b".into()], vec!["long".into(), String::new()]];
        assert_eq!(table(&rows), "a     b\nlong\n");
        assert_eq!(table(&[vec!["a\nerror: b".into()]]), "a\\nerror: b\n", "a cell forges no line");
    }

    #[test]
    fn a_summary_leaves_lists_out() {
        let result = serde_json::json!({"rows": 3, "rows_per_second": 1.23456, "tasks": {}, "output": "x"});
        assert_eq!(summary(&result), "rows             3\nrows per second  1.235\noutput           x\n");
    }

    #[test]
    fn a_cell_of_any_length_fits_a_table() {
        let long = "x".repeat(100_000);
        let text = table(&[vec![long.clone(), "end".into()], vec!["short".into(), "end".into()]]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("{long}  end"));
        assert_eq!(lines[1].len(), WIDEST_COLUMN + "  end".len());
        assert!(summary(&serde_json::json!({ long.clone(): 1 })).starts_with(&long));
    }
}
