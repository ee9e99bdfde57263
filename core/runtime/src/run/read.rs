//! The first stage: rows from Parquet, cut into micro-batches.

mod batches;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyflow_datasets::{Bound, DEFAULT_KEY, Dataset, Expected, Feature, Features, RowSet, selected};
use anyflow_plan::order::{DRAW_COLUMN, Order};
use anyflow_plan::plan::RunPlan;

use super::cut;
use super::micro_batch::MicroBatch;
use crate::identity::InputRows;
use crate::{Result, RunError};
use batches::Batches;

/// Reads shards from a dataset. A pipeline without inputs gets rows that only have an index.
pub struct ShardReader<'a> {
    order: &'a Order,
    dataset: Option<Dataset>,
    /// The rows of the input.
    rows: RowSet,
    /// How often each of them runs.
    draws: u64,
    /// The columns to read; `None` for all.
    columns: Option<Vec<String>>,
    /// Maximum rows of a micro-batch.
    batch_rows: u64,
    /// Number of rows whose key repeats in their shard.
    repeated: AtomicUsize,
}

impl<'a> ShardReader<'a> {
    /// Opens the inputs. Reads only the footers of the files.
    ///
    /// # Errors
    /// Missing or superfluous inputs; an empty dataset; errors of the dataset.
    pub fn open(plan: &'a RunPlan, order: &'a Order) -> Result<Self> {
        let selection = &order.selection;
        let draws = selection.draws.max(1);
        let most = order.rows.unwrap_or(u64::MAX);
        let (dataset, rows) = match (plan.inputs.is_empty(), order.inputs.is_empty()) {
            (true, true) => {
                let missing = || {
                    let name = &plan.name;
                    RunError::Data(format!("pipeline {name} has no inputs; set the number of rows with --rows N"))
                };
                (None, RowSet::from(0..order.rows.filter(|rows| *rows > 0).ok_or_else(missing)?))
            }
            (true, false) => {
                return Err(RunError::Data(format!("pipeline {} has no inputs; remove --input", plan.name)));
            }
            (false, true) => {
                let columns: Vec<_> = plan.inputs.values().map(|input| input.column.as_str()).collect();
                let columns = columns.join(", ");
                let name = &plan.name;
                return Err(RunError::Data(format!(
                    "pipeline {name} reads the columns {columns}; name a dataset with --input FILE"
                )));
            }
            (false, false) => {
                let paths: Vec<PathBuf> = order.inputs.iter().map(PathBuf::from).collect();
                let dataset = Dataset::open(&paths)?.with_files(plan.columns_read());
                let places = selection.skip..selection.skip.saturating_add(most);
                let rows = selected(&dataset, selection.filter.as_deref(), places)?;
                (Some(dataset), rows)
            }
        };
        if rows.is_empty() {
            return Err(RunError::Data(order.without_rows()));
        }
        let all = rows.len().saturating_mul(draws);
        let batch_rows = cut::micro_batch_rows(plan, order.shard_rows.max(1).min(all));
        let columns = dataset.as_ref().map(|dataset| columns(plan, order, dataset)).transpose()?.flatten();
        Ok(ShardReader { order, dataset, rows, draws, columns, batch_rows, repeated: AtomicUsize::new(0) })
    }

    /// Total number of rows, each as often as it is drawn.
    pub fn rows(&self) -> u64 {
        self.rows.len().saturating_mul(self.draws)
    }

    /// The first consecutive rows of the input, at most `most`.
    pub fn first_rows(&self, most: u64) -> Range<u64> {
        self.rows.slice(0..most).runs().next().unwrap_or(0..0)
    }

    /// Maximum rows of a micro-batch.
    pub fn batch_rows(&self) -> u64 {
        self.batch_rows
    }

    /// Number of rows so far whose key repeats in their shard. Such rows get the same noise.
    pub fn repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Total number of shards.
    pub fn shards(&self) -> u64 {
        self.order.shards(self.rows.len())
    }

    /// The shards that this order does.
    pub fn share(&self) -> Range<u64> {
        self.order.share.as_ref().map_or(0..self.shards(), |share| share.of_shards(self.shards()))
    }

    /// The size of [`ShardReader::share`].
    pub fn share_size(&self) -> Expected {
        let share = self.share();
        let rows = match share.clone().last() {
            Some(last) => self.range(last).end - self.range(share.start).start,
            None => 0,
        };
        Expected { shards: share.end - share.start, rows: rows.saturating_mul(self.draws) }
    }

    /// Rows of the input in a shard.
    fn shard_rows(&self) -> u64 {
        self.order.rows_per_shard()
    }

    /// The dataset, if the pipeline has inputs.
    pub fn dataset(&self) -> Option<&Dataset> {
        self.dataset.as_ref()
    }

    /// The columns to read; `None` for all.
    pub fn columns(&self) -> Option<&[String]> {
        self.columns.as_deref()
    }

    /// Features of the input columns.
    pub fn features(&self) -> Features {
        let mut features = self.dataset.as_ref().map(|dataset| dataset.features().clone()).unwrap_or_default();
        if self.draws > 1 {
            features.0.insert(DRAW_COLUMN.into(), Feature::Value("int64".into()));
        }
        features
    }

    /// The identity of the input.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn input(&self) -> Result<InputRows> {
        let content = self.dataset.as_ref().map(Dataset::content).transpose()?;
        Ok(InputRows { content, rows: self.rows(), shards: self.shards() })
    }

    /// Checks that the files that cells link to have not changed since [`ShardReader::input`].
    ///
    /// # Errors
    /// [`DatasetError::LinkedChanged`](anyflow_datasets::DatasetError::LinkedChanged).
    pub fn check_linked(&self, input: &InputRows) -> Result<()> {
        match (&self.dataset, &input.content) {
            (Some(dataset), Some(content)) => Ok(dataset.check_linked(content)?),
            _ => Ok(()),
        }
    }

    /// Reads these shards as micro-batches. A micro-batch never spans two shards. An error in place of a shard is passed on.
    pub fn batches<'r>(
        &'r self,
        shards: impl Iterator<Item = Result<u64>> + 'r,
    ) -> impl Iterator<Item = Result<MicroBatch>> + 'r {
        Batches::new(self, shards)
    }

    /// The places of a shard's rows among those of the input.
    fn range(&self, shard: u64) -> Range<u64> {
        let size = self.shard_rows();
        let start = shard.saturating_mul(size);
        start..start.saturating_add(size).min(self.rows.len())
    }

    /// The bound of a batch of rows of the input, each of which is drawn so often.
    fn bound(&self) -> Bound {
        let rows = (self.batch_rows / self.draws).max(1) as usize;
        Bound { rows, bytes: (cut::MICRO_BATCH_BYTES / self.draws).max(1) }
    }

    fn columns_to_read(&self) -> Option<Vec<&str>> {
        self.columns.as_ref().map(|names| names.iter().map(String::as_str).collect())
    }
}

/// The columns to read: those that the pipeline reads, the row key, and those that `--keep` names; `None` for all.
fn columns(plan: &RunPlan, order: &Order, dataset: &Dataset) -> Result<Option<Vec<String>>> {
    let Some(keep) = &order.keep else { return Ok(None) };
    keep.iter().try_for_each(|name| dataset.column(name).map(drop))?;
    let key = order.key.as_deref().unwrap_or(DEFAULT_KEY);
    let is_read = |name: &&String| {
        keep.contains(*name) || *name == key || plan.inputs.values().any(|input| input.column == **name)
    };
    Ok(Some(dataset.features().keys().filter(is_read).cloned().collect()))
}
