//! The reader's side: rows from Parquet, cells to arrays.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyflow_datasets::{Dataset, Features, RowKey, row_keys};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Op, RunPlan};
use indexmap::IndexMap;

use super::batch::Batch;
use crate::plugin::{Codec, watch};
use crate::{Result, RunError};

/// Rows that are read at a time inside a shard.
const READ_ROWS: usize = 1024;

/// Reads shards: from a dataset, or from nothing but row numbers.
pub struct Reader<'a> {
    plan: &'a RunPlan,
    order: &'a Order,
    codecs: &'a IndexMap<String, Codec>,
    dataset: Option<Dataset>,
    rows: u64,
}

impl<'a> Reader<'a> {
    /// Opens the inputs; only footers are read.
    ///
    /// # Errors
    /// No or too many inputs, an empty dataset, what the dataset says.
    pub fn open(plan: &'a RunPlan, order: &'a Order, codecs: &'a IndexMap<String, Codec>) -> Result<Self> {
        let (dataset, rows) = match (plan.inputs.is_empty(), order.inputs.is_empty()) {
            (true, true) => {
                let missing = || RunError::Data(format!("pipeline {} has no inputs: say --rows N", plan.name));
                (None, order.rows.filter(|rows| *rows > 0).ok_or_else(missing)?)
            }
            (true, false) => {
                return Err(RunError::Data(format!("pipeline {} reads no inputs: leave --input out", plan.name)));
            }
            (false, true) => {
                let columns: Vec<_> = plan.inputs.values().map(|input| input.column.as_str()).collect();
                let columns = columns.join(", ");
                return Err(RunError::Data(format!("pipeline {} reads {columns}: say --input FILE", plan.name)));
            }
            (false, false) => {
                let paths: Vec<PathBuf> = order.inputs.iter().map(PathBuf::from).collect();
                let dataset = Dataset::open(&paths)?;
                let rows = order.rows.unwrap_or(u64::MAX).min(dataset.rows());
                (Some(dataset), rows)
            }
        };
        if rows == 0 {
            return Err(RunError::Data(format!("the input has no rows: {}", order.inputs.join(", "))));
        }
        Ok(Reader { plan, order, codecs, dataset, rows })
    }

    /// Rows in all.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Shards in all.
    pub fn shards(&self) -> u64 {
        self.rows.div_ceil(self.order.shard_rows.max(1))
    }

    /// Rows of the shards that are not pending.
    pub fn rows_before(&self, pending: &[u64]) -> u64 {
        self.rows - pending.iter().map(|shard| self.range(*shard)).map(|r| r.end - r.start).sum::<u64>()
    }

    /// Features of the input columns.
    pub fn features(&self) -> Features {
        self.dataset.as_ref().map(|dataset| dataset.features().clone()).unwrap_or_default()
    }

    /// What identifies the input.
    pub fn fingerprint(&self) -> String {
        self.dataset.as_ref().map(|dataset| dataset.fingerprint().to_string()).unwrap_or_default()
    }

    fn range(&self, shard: u64) -> std::ops::Range<u64> {
        let size = self.order.shard_rows.max(1);
        shard * size..((shard + 1) * size).min(self.rows)
    }

    /// The rows of a shard, their cells already arrays.
    ///
    /// # Errors
    /// The file cannot be read, or a codec failed as a whole.
    pub fn read(&self, shard: u64) -> Result<Batch> {
        let _span = tracing::info_span!("read", shard).entered();
        let range = self.range(shard);
        let (input, keys, batches) = match &self.dataset {
            Some(dataset) => {
                // A cell that names a file would name one that the output folder does not have.
                let batches = dataset.read(None, range.clone(), READ_ROWS)?.embedded(dataset);
                let batches = batches.collect::<Result<Vec<_>, _>>()?;
                let schema = batches.first().map_or_else(|| dataset.schema().clone(), |batch| batch.schema());
                let input = arrow::compute::concat_batches(&schema, batches.iter().map(|batch| &batch.rows))?;
                let keys = row_keys(&input, self.order.key.as_deref(), range.start)?;
                (Some(input), keys, batches)
            }
            None => (None, range.clone().map(|row| RowKey::new(format!("#{row}"))).collect(), Vec::new()),
        };
        let mut batch = Batch {
            shard,
            first_row: range.start,
            input,
            keys,
            values: HashMap::new(),
            failures: BTreeMap::new(),
            cut_short: false,
        };
        for read in &batches {
            for bad in &read.unreadable {
                let row = (read.first_row - range.start) as usize + bad.row;
                batch.fail(row, "input", bad.code, bad.reason.clone());
            }
        }
        drop(batches);
        self.read_cells(&mut batch)?;
        Ok(batch)
    }

    fn read_cells(&self, batch: &mut Batch) -> Result<()> {
        for step in &self.plan.steps {
            let Op::ReadCells { stream, from, to } = &step.op else { continue };
            let input = self.plan.inputs.get(from).ok_or_else(|| {
                RunError::Internal(format!("step {} reads cells of {from}, which is no input", step.node))
            })?;
            let (Some(dataset), Some(rows)) = (&self.dataset, &batch.input) else {
                return Err(RunError::Internal(format!("step {} has no dataset", step.node)));
            };
            let cells = dataset.cells(rows, &input.column)?;
            let threads = self.order.threads as usize;
            let codec = &self.codecs[stream];
            let (array, failed) = watch::in_node(&step.node, || crate::session::read_cells(codec, &cells, threads))?;
            for failed in failed {
                batch.fail(failed.row, &step.node, "cell", format!("column {}: {}", input.column, failed.text));
            }
            batch.values.insert(to.clone(), array);
        }
        Ok(())
    }
}
