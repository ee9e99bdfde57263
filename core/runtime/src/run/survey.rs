//! Surveys the input of a pipeline: reads a sample of its rows as a run does, and counts what fails.

mod blocks;
mod column;
mod remedies;

use std::collections::HashSet;
use std::path::PathBuf;

use anyflow_datasets::{Bound, DEFAULT_KEY, Dataset, row_keys, use_memory};
use anyflow_plan::survey::{KeySurvey, Survey, SurveyOrder};
use indexmap::IndexMap;

use super::causes::FailureCauses;
use super::input_cells::{InputCells, InputSource, read_cells};
use super::micro_batch::MicroBatch;
use crate::Result;
use crate::events::{Events, figures};
use crate::plugin::allow_only;
use blocks::{BlockCount, blocks, margin};
use column::ColumnCells;
use remedies::RefusedCells;

/// The code of a cell that a codec refuses.
const REFUSED: &str = "cell";
/// The most keys to read: each takes about 20 bytes of memory.
const MOST_KEYS: u64 = 20_000_000;
const KEYS: Bound = Bound::rows(1 << 13);
/// Repeated keys to show.
const EXAMPLES: usize = 3;

/// Surveys the rows of an order.
///
/// # Errors
/// Errors of plugins and of the dataset. What fails in single rows is the result, not an error.
pub fn survey(order: &SurveyOrder, events: &Events) -> Result<Survey> {
    if let Some(bytes) = order.memory_bytes {
        use_memory(bytes);
    }
    if let Some(hashes) = &order.plugins_allowed {
        allow_only(hashes.iter().cloned());
    }
    let paths: Vec<PathBuf> = order.inputs.iter().map(PathBuf::from).collect();
    let dataset = Dataset::open(&paths)?.with_files(order.plan.columns_read());
    let threads = order.threads as usize;
    let key = order.key.as_deref();
    let source = InputSource { plan: &order.plan, dataset: &dataset, columns: None, key, threads };
    let cells = InputCells::open(source)?;
    let mut seen = Seen::new(&source, &cells);
    let blocks = blocks(dataset.rows(), order.sample.unwrap_or(u64::MAX));
    let planned: u64 = blocks.iter().map(|block| block.end - block.start).sum();
    events.begin("rows", Some(planned), "rows", 0);
    for block in blocks {
        seen.blocks.push(BlockCount::default());
        cells.read(block, |batch| {
            seen.add(batch)?;
            events.progress("rows", seen.read(), figures([("failing", seen.failing().into())]));
            Ok(())
        })?;
    }
    events.end("rows", figures([("failing", seen.failing().into())]));
    let keys = keys(&dataset, key)?;
    seen.result(keys)
}

/// What was seen so far.
struct Seen<'a> {
    source: &'a InputSource<'a>,
    cells: &'a InputCells<'a>,
    blocks: Vec<BlockCount>,
    causes: FailureCauses,
    refused: RefusedCells,
    columns: IndexMap<String, ColumnCells>,
}

impl<'a> Seen<'a> {
    fn new(source: &'a InputSource<'a>, cells: &'a InputCells<'a>) -> Self {
        let columns = source.dataset.features().keys().map(|name| (name.clone(), ColumnCells::default())).collect();
        let (causes, refused) = Default::default();
        Seen { source, cells, blocks: Vec::new(), causes, refused, columns }
    }

    fn read(&self) -> u64 {
        self.blocks.iter().map(|block| block.read).sum()
    }

    fn failing(&self) -> u64 {
        self.blocks.iter().map(|block| block.failing).sum()
    }

    fn add(&mut self, batch: &MicroBatch) -> Result<()> {
        if let Some(block) = self.blocks.last_mut() {
            block.read += batch.keys.len() as u64;
            block.failing += batch.failures.len() as u64;
        }
        batch.failures.values().for_each(|failure| self.causes.add(failure));
        self.look_at_columns(batch)?;
        self.keep_refused(batch)
    }

    fn look_at_columns(&mut self, batch: &MicroBatch) -> Result<()> {
        let Some(rows) = &batch.input else { return Ok(()) };
        for (name, seen) in &mut self.columns {
            match self.source.dataset.cells(rows, name) {
                Ok(cells) => (0..cells.len()).for_each(|row| seen.add(cells.get(row).ok())),
                // Times, maps and other columns that no codec reads.
                Err(_) => seen.add_nulls(rows.column_by_name(name).map_or(0, |column| column.null_count())),
            }
        }
        Ok(())
    }

    fn keep_refused(&mut self, batch: &MicroBatch) -> Result<()> {
        let Some(rows) = &batch.input else { return Ok(()) };
        for step in read_cells(self.source.plan) {
            let is_refused = |node: &str, code: &str| node == step.node && code == REFUSED;
            let failed = batch.failures.iter().filter(|(_, failure)| is_refused(&failure.node, &failure.code));
            let failed: Vec<usize> = failed.map(|(row, _)| *row).collect();
            let Some(codec) = self.cells.codec(step.stream).filter(|_| !failed.is_empty()) else { continue };
            let cells = codec.adapted(self.source.dataset.cells(rows, step.column)?)?;
            for row in failed {
                if let Ok(Some(cell)) = cells.get(row) {
                    self.refused.add(step.stream, cell);
                }
            }
        }
        Ok(())
    }

    fn result(self, keys: KeySurvey) -> Result<Survey> {
        let (read, failing) = (self.read(), self.failing());
        let rows = self.source.dataset.rows();
        Ok(Survey {
            rows,
            read,
            failing,
            share: failing as f64 / read.max(1) as f64,
            margin: margin(&self.blocks, rows),
            causes: self.causes.sorted(),
            remedies: self.refused.remedies(self.source.plan, self.source.threads)?,
            columns: self.columns.into_iter().map(|(name, seen)| (name, seen.summary())).collect(),
            keys,
        })
    }
}

/// Reads the keys of all rows. A sample would miss most pairs of equal keys.
fn keys(dataset: &Dataset, key: Option<&str>) -> Result<KeySurvey> {
    let column = key.unwrap_or(DEFAULT_KEY);
    if dataset.column(column).is_err() {
        return Ok(KeySurvey::default());
    }
    let mut found = KeySurvey { column: Some(column.into()), ..KeySurvey::default() };
    let mut known = HashSet::new();
    for batch in dataset.read(Some(&[column]), 0..dataset.rows().min(MOST_KEYS), KEYS)? {
        let batch = batch?;
        for key in row_keys(&batch.rows, key, batch.first_row..)? {
            found.read += 1;
            if !known.insert(key.hash) {
                found.repeated += 1;
                if found.examples.len() < EXAMPLES && !found.examples.contains(&key.text) {
                    found.examples.push(key.text);
                }
            }
        }
    }
    Ok(found)
}
