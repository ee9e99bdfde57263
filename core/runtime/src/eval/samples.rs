//! The first rows of every task as Parquet files, one per task, for the page of the evaluation.

use std::sync::Arc;

use anyflow_datasets::{Feature, Features, Folder, OwnedCell, TableWriter, column_from_cells};
use anyflow_plan::plan::{Model, PromptConfig, RoleValue, Task, Type};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use indexmap::IndexMap;

use super::held_out::HeldOut;
use super::judging::Judged;
use crate::Result;
use crate::run::feature_of;
use crate::table::Tuples;

/// Rows of a task.
const ROWS: usize = 12;
/// The folder of the files in the output folder. A file has the index of its task as name.
const FOLDER: &str = "samples";
/// The column of the class of observed cells.
const CLASS: &str = "class";

/// The first rows of a task: observed cells with their class, generated cells with their predicted class.
#[derive(Default)]
pub struct Samples {
    columns: IndexMap<String, Column>,
}

struct Column {
    feature: Feature,
    cells: Vec<Option<OwnedCell>>,
}

impl Samples {
    /// The first rows of `generated`, of which `tuples` are the held-out rows. A codec that only reads has no cells to
    /// show.
    ///
    /// # Errors
    /// A codec declares an unknown feature.
    pub fn of(
        task: &Task,
        generated: &IndexMap<String, Judged>,
        held_out: &HeldOut<'_>,
        tuples: &Tuples,
    ) -> Result<Samples> {
        let mut samples = Samples::default();
        let first = tuples.first(ROWS);
        let model = &held_out.plan.model;
        for RoleValue { key, from, .. } in task.reads() {
            if let Ok(Some(cells)) = held_out.cells(from, &first) {
                let is_made = generated.contains_key(from);
                let name = if is_made { format!("{} of {from}", word(key)) } else { from.to_string() };
                samples.add(name, feature(model, from)?, cells);
            }
        }
        let names = held_out.class_names();
        let named = |class: i64| Some(OwnedCell::Utf8(names.get(class as usize).cloned().unwrap_or(class.to_string())));
        if !samples.columns.is_empty() {
            let truth = held_out.classes(&first)?;
            samples.add(CLASS.into(), text(), truth.into_iter().map(named).collect());
        }
        for (stream, Judged { written, verdicts }) in generated {
            samples.add(stream.clone(), feature(model, stream)?, written.cells.iter().take(ROWS).cloned().collect());
            let classes = verdicts.classes.iter().take(ROWS).map(|class| class.and_then(named));
            samples.add(format!("predicted class of {stream}"), text(), classes.collect());
        }
        Ok(samples)
    }

    fn add(&mut self, name: String, feature: Feature, cells: Vec<Option<OwnedCell>>) {
        self.columns.insert(name, Column { feature, cells });
    }

    fn write(&self, folder: &Folder, file: &str) -> Result<()> {
        let mut fields = Vec::new();
        let mut arrays = Vec::new();
        let mut features = Features::default();
        for (name, Column { feature, cells }) in &self.columns {
            let array = column_from_cells(cells, feature)?;
            fields.push(Field::new(name, array.data_type().clone(), true));
            features.0.insert(name.clone(), feature.clone());
            arrays.push(array);
        }
        let schema = Schema::new(fields);
        let mut writer = TableWriter::create_in(folder, file, &schema, &features)?;
        writer.write(&RecordBatch::try_new(Arc::new(schema), arrays)?)?;
        writer.finish()?;
        Ok(())
    }
}

/// Writes the samples of each task, by its index, and removes those of an earlier evaluation.
///
/// # Errors
/// The disk.
pub fn write(folder: &Folder, samples: &IndexMap<usize, Samples>) -> Result<()> {
    for old in folder.files(FOLDER)? {
        folder.remove(&format!("{FOLDER}/{old}"))?;
    }
    folder.make_folder(FOLDER)?;
    samples.iter().try_for_each(|(task, samples)| samples.write(folder, &format!("{FOLDER}/{task}.parquet")))
}

fn feature(model: &Model, stream: &str) -> Result<Feature> {
    let of_stream = model.streams.get(stream).map(|stream| &stream.cells);
    let kind: Option<&Type> = of_stream.or_else(|| model.prompts.get(stream).map(PromptConfig::cells));
    feature_of(stream, kind)
}

/// The word for a value that a generated stream has as well.
fn word(key: &str) -> &str {
    if ["observe", "planes"].contains(&key) { "original" } else { key }
}

fn text() -> Feature {
    Feature::Value("string".into())
}
