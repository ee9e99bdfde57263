//! The page of a folder: samples, curves, figures, graph, provenance. One file without scripts or external resources.

mod cell;
mod curves;
mod dataset;
mod evaluation;
mod plot;
mod provenance;
mod sheet;
mod shell;
mod spectrogram;
mod sweep;
pub mod tables;
mod training;
mod values;

use std::path::{Path, PathBuf};

use maud::{Markup, html};

use crate::error::{CliError, Result};
use cell::Budget;

/// A finished page.
pub struct Page {
    /// The HTML text.
    pub html: String,
    /// Titles of its sections.
    pub sections: Vec<String>,
}

/// A section of the page: a sweep, or one dataset, training or evaluation.
struct Section {
    kind: Kind,
    title: String,
    /// Its folder, relative to the folder of the page; empty for the folder itself.
    place: String,
    /// Figures under the title.
    facts: Vec<String>,
    body: Markup,
}

/// The kinds of sections, in the order of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Sweep,
    Samples,
    Evaluation,
    Training,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Sweep => "Sweep",
            Kind::Samples => "Samples",
            Kind::Evaluation => "Evaluation",
            Kind::Training => "Training",
        }
    }
}

/// Folders inside output folders that are not outputs themselves.
const INNER: [&str; 4] = ["data", "commits", "stages", "samples"];

/// Builds the page of a folder and its direct sub-folders, with the first `rows` rows of each dataset.
///
/// # Errors
/// No such folder, or nothing to report. Broken parts appear as messages in the page.
pub fn page(folder: &Path, rows: u64) -> Result<Page> {
    let mut budget = Budget::default();
    let folders = folders(folder)?;
    let mut sections: Vec<Section> = sweep::section(&folders, rows, &mut budget).into_iter().collect();
    for (path, place) in &folders {
        sections.extend(dataset::sections(path, place, rows, &mut budget));
        sections.extend(evaluation::section(path, place, rows, &mut budget));
        sections.extend(training::section(path, place));
    }
    if sections.is_empty() {
        let text = format!(
            "{} has nothing to report: no output of `anyflow run`, `train` or `eval`, and no Parquet file",
            folder.display()
        );
        return Err(CliError::Usage(text));
    }
    sections.sort_by_key(|section| section.kind);
    let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let html = shell::page(&name.unwrap_or_else(|| folder.display().to_string()), &sections);
    Ok(Page { html, sections: sections.into_iter().map(|section| section.title).collect() })
}

/// The folder itself and its direct sub-folders, each with its place in the page.
fn folders(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut inner = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(CliError::read(folder))? {
        let entry = entry.map_err(CliError::read(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() && !name.starts_with('.') && !INNER.contains(&name.as_str()) {
            inner.push((entry.path(), name));
        }
    }
    inner.sort();
    Ok(std::iter::once((folder.to_path_buf(), String::new())).chain(inner).collect())
}

/// An error message in the place of a part that could not be shown.
fn trouble(error: impl ToString) -> Markup {
    html! { p.trouble { (error.to_string()) } }
}

#[cfg(test)]
mod tests;
