//! The writer's side: arrays to cells, rows to committed shards.

use std::collections::HashSet;
use std::sync::Arc;

use anyflow_datasets::{Failure, Feature, Features, OutputDir, OwnedCell, OwnedList, column_from_cells};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Form, Op, RunPlan, Scoring};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use indexmap::IndexMap;
use tch::Tensor;

use super::batch::Batch;
use crate::events::{Events, figures};
use crate::plugin::{Codec, watch};
use crate::{Result, RunError};

/// What was written, earlier runs of the same job counted in.
pub struct Summary {
    /// Good rows.
    pub rows: u64,
    /// Failed rows.
    pub failed: u64,
    /// Shards.
    pub shards: u64,
}

/// Writes shards.
pub struct Writer<'a> {
    plan: &'a RunPlan,
    order: &'a Order,
    codecs: &'a IndexMap<String, Codec>,
    output: OutputDir,
    inputs: Features,
    events: &'a Events,
    failed: u64,
    done: u64,
    cut_short: bool,
}

impl<'a> Writer<'a> {
    /// A writer into an output folder that may hold `done` rows of earlier runs; `inputs` are the features of columns
    /// that pass through.
    pub fn new(
        plan: &'a RunPlan,
        order: &'a Order,
        codecs: &'a IndexMap<String, Codec>,
        output: OutputDir,
        inputs: Features,
        done: u64,
        events: &'a Events,
    ) -> Self {
        let (_, failed) = output.progress();
        Writer { plan, order, codecs, output, inputs, events, failed, done, cut_short: false }
    }

    /// Encodes the cells of a batch and commits it as a shard.
    ///
    /// # Errors
    /// Disk, a codec that failed as a whole, or more failed rows than allowed.
    pub fn write(&mut self, mut batch: Batch) -> Result<()> {
        if batch.cut_short {
            self.cut_short = true;
            return Ok(());
        }
        let _span = tracing::info_span!("write", shard = batch.shard).entered();
        let cells = self.cells(&mut batch)?;
        let (rows, features) = self.rows(&batch, cells)?;
        let failures: Vec<Failure> = batch.failures.into_values().collect();
        let mut shard = self.output.shard(batch.shard, &features)?;
        shard.write(&rows)?;
        shard.commit(&failures)?;
        self.failed += failures.len() as u64;
        self.done += batch.keys.len() as u64;
        self.events.progress("rows", self.done, figures([("failed", self.failed.into())]));
        match self.order.max_failures {
            Some(allowed) if self.failed > allowed => {
                self.output.write_failures()?;
                Err(RunError::TooManyFailures { failed: self.failed, allowed, path: self.order.output.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Closes the output with its manifest, unless the run was cut short.
    ///
    /// # Errors
    /// Disk.
    pub fn finish(self) -> Result<Summary> {
        if self.cut_short {
            return Ok(Summary { rows: 0, failed: 0, shards: 0 });
        }
        let manifest = self.output.finish()?;
        Ok(Summary { rows: manifest.rows, failed: manifest.failures, shards: manifest.shards.len() as u64 })
    }

    /// Decoded cells by value id.
    fn cells(&self, batch: &mut Batch) -> Result<IndexMap<String, Vec<Option<OwnedCell>>>> {
        let mut cells = IndexMap::new();
        for step in &self.plan.steps {
            if let Op::Score { scoring, label, scores, .. } = &step.op {
                for (id, cell) in [(label, label_cells as Scored), (scores, score_cells)] {
                    let Some((id, value)) = id.as_ref().and_then(|id| Some((id, batch.values.get(id)?))) else {
                        continue;
                    };
                    cells.insert(id.clone(), cell(scoring, value)?);
                }
                continue;
            }
            let Op::WriteCells { stream, from, to } = &step.op else { continue };
            let array = batch.values.get(from);
            let array = array.ok_or_else(|| RunError::Internal(format!("value {from} is not there")))?;
            let threads = self.order.threads as usize;
            let decoded = watch::in_node(&step.node, || self.codecs[stream].decode(array, threads))?;
            let column = decoded.into_iter().enumerate().map(|(row, cell)| match cell {
                Ok(cell) => Some(cell),
                Err(text) => {
                    batch.fail(row, &step.node, "write", text);
                    None
                }
            });
            cells.insert(to.clone(), column.collect());
        }
        Ok(cells)
    }

    /// The good rows: inputs pass through unless an output takes their name.
    fn rows(
        &self,
        batch: &Batch,
        mut cells: IndexMap<String, Vec<Option<OwnedCell>>>,
    ) -> Result<(RecordBatch, Features)> {
        let bad: HashSet<usize> = batch.failures.keys().copied().collect();
        let good: Vec<bool> = (0..batch.keys.len()).map(|row| !bad.contains(&row)).collect();
        let mask = BooleanArray::from(good.clone());
        let input = batch.input.as_ref().map(|rows| arrow::compute::filter_record_batch(rows, &mask)).transpose()?;
        let (mut fields, mut columns, mut features) = (Vec::new(), Vec::<ArrayRef>::new(), Features::default());
        if let Some(input) = &input {
            for (field, column) in input.schema().fields().iter().zip(input.columns()) {
                if !self.plan.outputs.contains_key(field.name()) {
                    fields.push(field.clone());
                    columns.push(column.clone());
                    if let Some(feature) = self.inputs.get(field.name()) {
                        features.0.insert(field.name().clone(), feature.clone());
                    }
                }
            }
        }
        for (name, id) in &self.plan.outputs {
            let (column, feature) = match cells.shift_remove(id) {
                Some(cells) => {
                    let kept: Vec<_> =
                        cells.into_iter().zip(&good).filter(|(_, good)| **good).map(|(cell, _)| cell).collect();
                    let feature = self.feature(id)?;
                    (column_from_cells(&kept, &feature)?, feature)
                }
                None => self.passed(id, input.as_ref())?,
            };
            fields.push(Arc::new(Field::new(name, column.data_type().clone(), true)));
            columns.push(column);
            features.0.insert(name.clone(), feature);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(good.iter().filter(|g| **g).count()));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        Ok((rows, features))
    }

    /// An input that is also an output, under whatever name.
    fn passed(&self, id: &str, input: Option<&RecordBatch>) -> Result<(ArrayRef, Feature)> {
        let found = self.plan.inputs.get(id).and_then(|i| {
            let column = input?.column_by_name(&i.column)?.clone();
            Some((column, self.inputs.get(&i.column)?.clone()))
        });
        found.ok_or_else(|| RunError::Internal(format!("output value {id} was never made")))
    }

    fn feature(&self, id: &str) -> Result<Feature> {
        match self.plan.values.get(id).map(|value| &value.kind.form) {
            Some(Form::Cells { feature, .. }) => parse_feature(feature),
            _ => Err(RunError::Internal(format!("output value {id} is no cells"))),
        }
    }
}

/// What a scoring found, as cells.
type Scored = fn(&Scoring, &Tensor) -> Result<Vec<Option<OwnedCell>>>;

/// `[row]`, numbers of classes -> their names.
fn label_cells(scoring: &Scoring, numbers: &Tensor) -> Result<Vec<Option<OwnedCell>>> {
    let name = |number: i64| scoring.classes.get_index(number as usize).map(|(name, _)| OwnedCell::Utf8(name.clone()));
    Ok(Vec::<i64>::try_from(numbers)?.into_iter().map(name).collect())
}

/// `[row, class]` -> a list of numbers each.
fn score_cells(scoring: &Scoring, scores: &Tensor) -> Result<Vec<Option<OwnedCell>>> {
    let flat = Vec::<f32>::try_from(scores.f_flatten(0, -1)?)?;
    let list = |row: &[f32]| {
        let values = row.iter().map(|value| f64::from(*value)).collect();
        OwnedList::new(1, values, vec![row.len() as u64]).map(OwnedCell::List)
    };
    Ok(flat.chunks(scoring.classes.len().max(1)).map(list).collect())
}

/// A descriptor's feature (`Image`, `Value(string)`, `List(Value(float32))`) as the dataset's.
fn parse_feature(text: &str) -> Result<Feature> {
    let call = text.split_once('(').and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)));
    match (text, call) {
        (_, Some(("Value", dtype))) => Ok(Feature::Value(dtype.into())),
        (_, Some(("List", item))) => Ok(Feature::List(Box::new(parse_feature(item)?))),
        ("Image", _) => Ok(Feature::Image),
        ("Audio", _) => Ok(Feature::Audio { sampling_rate: None }),
        ("Video", _) => Ok(Feature::Video),
        _ => Err(RunError::Internal(format!("a codec declares the feature {text:?}, which is not known"))),
    }
}
