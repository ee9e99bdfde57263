//! Reads and encodes input cells as a run does, but without the model's weights.

use std::ops::Range;

use anyflow_datasets::{Bound, Dataset, row_keys};
use anyflow_plan::plan::{Component, Model, Op, RunPlan, Type};
use indexmap::IndexMap;

use super::cut;
use super::encode::EncodeStage;
use super::micro_batch::MicroBatch;
use crate::plugin::{Codec, LoadedPlugins};
use crate::{Result, RunError};

/// Where the cells come from.
#[derive(Clone, Copy)]
pub struct InputSource<'a> {
    /// The pipeline.
    pub plan: &'a RunPlan,
    /// The rows.
    pub dataset: &'a Dataset,
    /// The columns to read; `None` for all.
    pub columns: Option<&'a [String]>,
    /// Column with the row key, if the user names one.
    pub key: Option<&'a str>,
    /// Threads of codecs.
    pub threads: usize,
}

/// The codecs of a pipeline's inputs, and the rows that they read.
pub struct InputCells<'a> {
    source: InputSource<'a>,
    codecs: IndexMap<String, Codec>,
}

impl<'a> InputCells<'a> {
    /// Makes the codecs that the pipeline reads cells with.
    ///
    /// # Errors
    /// Errors of plugins.
    pub fn open(source: InputSource<'a>) -> Result<Self> {
        let mut plugins = LoadedPlugins::default();
        let mut codecs = IndexMap::new();
        let RunPlan { steps, inputs, constants, .. } = source.plan;
        for step in steps {
            let Op::ReadCells { stream, from, .. } = &step.op else { continue };
            let is_given = inputs.contains_key(from) || constants.contains_key(from);
            if is_given && !codecs.contains_key(stream) {
                let (codec, array) = codec_of(&source.plan.model, stream)?;
                codecs.insert(stream.clone(), Codec::new(&mut plugins, codec, array)?);
            }
        }
        Ok(InputCells { source, codecs })
    }

    /// Reads rows, and passes them on with their failures.
    ///
    /// # Errors
    /// Errors of the dataset and of `take`; a codec failed as a whole.
    pub fn read(&self, rows: Range<u64>, mut take: impl FnMut(&MicroBatch) -> Result<()>) -> Result<()> {
        let InputSource { plan, dataset, columns, key, threads } = self.source;
        let most = cut::micro_batch_rows(plan, (rows.end - rows.start).max(1)) as usize;
        let bound = Bound { rows: most, bytes: cut::MICRO_BATCH_BYTES };
        let columns = columns.map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
        let encoder = EncodeStage::new(plan, threads, Some(dataset), &self.codecs);
        for read in dataset.read(columns.as_deref(), rows, bound)?.embedded(dataset) {
            let read = read?;
            let numbers: Vec<u64> = (read.first_row..).take(read.num_rows()).collect();
            let keys = row_keys(&read.rows, key, numbers.iter().copied())?;
            let mut batch = MicroBatch::new(numbers, keys, Some(read));
            encoder.encode(&mut batch)?;
            take(&batch)?;
        }
        Ok(())
    }

    /// The codec of a stream or prompt whose cells are read.
    pub fn codec(&self, stream: &str) -> Option<&Codec> {
        self.codecs.get(stream)
    }
}

/// A step that reads cells.
pub struct ReadStep<'p> {
    /// Its node.
    pub node: &'p str,
    /// The stream or prompt whose codec reads them.
    pub stream: &'p str,
    /// The column.
    pub column: &'p str,
}

/// The steps of a plan that read cells.
pub fn read_cells(plan: &RunPlan) -> impl Iterator<Item = ReadStep<'_>> {
    plan.steps.iter().filter_map(|step| match &step.op {
        Op::ReadCells { stream, from, .. } => {
            Some(ReadStep { node: &step.node, stream, column: &plan.inputs.get(from)?.column })
        }
        _ => None,
    })
}

/// The codec of a stream or prompt, and the type of its array.
///
/// # Errors
/// The model has no such stream or prompt.
pub fn codec_of<'p>(model: &'p Model, stream: &str) -> Result<(&'p Component, &'p Type)> {
    let of_stream = model.streams.get(stream).map(|stream| (&stream.codec, &stream.array));
    let found = of_stream.or_else(|| model.encoded(stream).map(|prompt| (&prompt.codec, &prompt.array)));
    found.ok_or_else(|| RunError::Internal(format!("the model has neither a stream nor a prompt {stream}")))
}
