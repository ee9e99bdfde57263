//! The contact sheet: a card per row, observed columns next to generated ones.

use std::collections::{HashMap, HashSet};

use anyflow_datasets::{Cell, Dataset, Feature, head};
use anyflow_plan::plan::RunPlan;
use arrow_column::cells_of;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::cell::{self, Budget};
use crate::error::Result;

/// The role of a column in the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnRole {
    /// Read by the pipeline.
    Given,
    /// Written by the pipeline.
    Made,
    /// Neither, or the pipeline is unknown.
    Carried,
}

impl ColumnRole {
    fn class(self) -> &'static str {
        match self {
            ColumnRole::Given => "given",
            ColumnRole::Made => "made",
            ColumnRole::Carried => "carried",
        }
    }

    fn word(self) -> &'static str {
        match self {
            ColumnRole::Given => "given",
            ColumnRole::Made => "generated",
            ColumnRole::Carried => "copied",
        }
    }
}

/// A column of the sheet.
struct Column<'a> {
    name: &'a str,
    feature: &'a Feature,
    role: ColumnRole,
    /// Its cells are shown as images, sounds or videos.
    is_file: bool,
}

/// The role of each column, if it is known.
pub(super) type Roles<'a> = Option<&'a dyn Fn(&str) -> ColumnRole>;

/// Builds the cards of the first `rows` rows.
pub(super) fn sheet(dataset: &Dataset, roles: Roles<'_>, rows: u64, budget: &mut Budget) -> Result<Markup> {
    let shown = Rows::read(dataset, roles, rows)?;
    Ok(html! {
        (shown.legend())
        div.sheet style={ "--width: " (shown.width_rem().min(60)) "rem" } {
            @for row in 0..shown.count() {
                article.row {
                    header { b { "row " (row) } (shown.chips(row)) }
                    div.cells { (shown.figures(row, |_| true, None, budget)) }
                }
            }
        }
    })
}

/// The first rows of a dataset, with the bytes of their images, sounds and videos.
pub(super) struct Rows<'a> {
    figures: Vec<Column<'a>>,
    /// Columns that appear only in the head of a card.
    chips: Vec<Column<'a>>,
    values: Vec<Map<String, Value>>,
    /// Column -> its cells in the order of the rows.
    media: HashMap<&'a str, Vec<Option<Vec<u8>>>>,
}

impl<'a> Rows<'a> {
    /// Reads the first `rows` rows.
    pub(super) fn read(dataset: &'a Dataset, roles: Roles<'_>, rows: u64) -> Result<Self> {
        let values = head(dataset, rows)?;
        let (figures, chips) = columns(dataset, roles, &values);
        let files = figures.iter().filter(|column| column.is_file);
        let media = files.map(|column| Ok((column.name, cells_of(dataset, column.name, rows)?)));
        let media: HashMap<_, _> = media.collect::<Result<_>>()?;
        Ok(Rows { figures, chips, values, media })
    }

    /// The number of rows.
    pub(super) fn count(&self) -> usize {
        self.values.len()
    }

    /// Width of a card with all figures next to each other.
    pub(super) fn width_rem(&self) -> usize {
        self.figures.iter().map(|column| if is_sound(column.feature) { 13 } else { 9 }).sum::<usize>() + 2
    }

    /// What the colours of the figures mean.
    fn legend(&self) -> Markup {
        let shown: HashSet<&str> = self.figures.iter().map(|column| column.role.class()).collect();
        html! {
            @if shown.contains("made") || shown.contains("given") {
                p.legend { @for role in [ColumnRole::Given, ColumnRole::Made, ColumnRole::Carried] {
                    @if shown.contains(role.class()) { span class=(role.class()) { (role.word()) } }
                } }
            }
        }
    }

    /// The values in the head of a card.
    pub(super) fn chips(&self, row: usize) -> Markup {
        let value = |column: &Column<'_>| short(self.values.get(row).and_then(|values| values.get(column.name)));
        html! { @for column in &self.chips { span { (column.name) " " (value(column)) } } }
    }

    /// The figures of a row whose roles are wanted; `of` names the dataset, if there are several.
    pub(super) fn figures(
        &self,
        row: usize,
        is_wanted: impl Fn(ColumnRole) -> bool,
        of: Option<&str>,
        budget: &mut Budget,
    ) -> Markup {
        let wanted = self.figures.iter().filter(|column| is_wanted(column.role));
        html! { @for column in wanted { (self.figure(column, row, of, budget)) } }
    }

    fn figure(&self, column: &Column<'_>, row: usize, of: Option<&str>, budget: &mut Budget) -> Markup {
        let bytes = self.media.get(column.name).and_then(|cells| cells.get(row)?.as_deref());
        let shown = match (bytes, self.values.get(row).and_then(|values| values.get(column.name))) {
            (Some(bytes), _) => cell::media(bytes, fallback(column.feature), budget),
            (None, Some(value)) => cell::value(value),
            (None, None) => cell::value(&Value::Null),
        };
        let sound = is_sound(column.feature);
        html! {
            figure.cell.(column.role.class()).sound[sound] {
                div.body { (shown) }
                figcaption title={ (column.role.word()) ": " (column.name) } {
                    b { (column.name) } @if let Some(of) = of { " " (of) }
                }
            }
        }
    }
}

/// Splits the columns into figures, observed ones first, and those that appear only in the head of a card.
fn columns<'a>(
    dataset: &'a Dataset,
    roles: Roles<'_>,
    values: &[Map<String, Value>],
) -> (Vec<Column<'a>>, Vec<Column<'a>>) {
    let column = |(name, feature): (&'a String, &'a Feature)| {
        let role = roles.map_or(ColumnRole::Carried, |role| role(name));
        Column { name, feature, role, is_file: feature.is_media() || has_images(name, values) }
    };
    let in_head = |column: &Column<'_>| {
        column.role == ColumnRole::Carried && !column.is_file && (roles.is_some() || column.name == "id")
    };
    let (chips, mut figures): (Vec<_>, Vec<_>) = dataset.features().iter().map(column).partition(in_head);
    figures.sort_by_key(|column| {
        [ColumnRole::Given, ColumnRole::Made, ColumnRole::Carried].iter().position(|role| *role == column.role)
    });
    (figures, chips)
}

/// True if some of the values are images, also in a column of plain bytes.
fn has_images(column: &str, values: &[Map<String, Value>]) -> bool {
    let media_type = |row: &Map<String, Value>| row.get(column)?.get("media_type")?.as_str().map(str::to_string);
    values.iter().filter_map(media_type).any(|media_type| media_type.starts_with("image/"))
}

/// The role of a column in the output of a run.
pub(super) fn role(plan: &RunPlan, column: &str) -> ColumnRole {
    let read = |column: &str| plan.inputs.values().any(|input| input.column == column);
    match plan.outputs.get(column) {
        Some(value) if plan.inputs.contains_key(value) => ColumnRole::Given,
        Some(_) => ColumnRole::Made,
        None if read(column) => ColumnRole::Given,
        None => ColumnRole::Carried,
    }
}

fn is_sound(feature: &Feature) -> bool {
    matches!(feature, Feature::Audio { .. })
}

fn fallback(feature: &Feature) -> &'static str {
    match feature {
        Feature::Image => "image/png",
        Feature::Audio { .. } => "audio/wav",
        Feature::Video => "video/mp4",
        _ => "application/octet-stream",
    }
}

fn short(value: Option<&Value>) -> String {
    const LONGEST: usize = 40;
    let text = value.map(cell::inline).unwrap_or_default();
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain("…".chars()).collect() }
}

/// Reads cells without naming Arrow types.
mod arrow_column {
    use super::{Cell, Dataset, Result};

    /// Rows per read: cells can be large videos.
    const BATCH_ROWS: usize = 16;

    /// Bytes of the first `rows` rows of a column; `None` for null cells and unreadable ones.
    pub(super) fn cells_of(dataset: &Dataset, column: &str, rows: u64) -> Result<Vec<Option<Vec<u8>>>> {
        let mut cells = Vec::new();
        for batch in dataset.read(Some(&[column]), 0..rows, BATCH_ROWS)? {
            let batch = batch?;
            let read = dataset.cells(&batch, column)?;
            cells.extend((0..read.len()).map(|row| match read.get(row) {
                Ok(Some(Cell::Bytes(bytes))) => Some(bytes.to_vec()),
                _ => None,
            }));
        }
        Ok(cells)
    }
}
