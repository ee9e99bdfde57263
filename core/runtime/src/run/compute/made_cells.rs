//! Cells that one node makes and another reads: the codec writes them and reads them back, as from a file.

use anyflow_datasets::{Cell, OwnedCell};

use super::{Compute, MicroBatch, value};
use crate::cells::{numbers_of, write_cells};
use crate::plugin::watch;
use crate::{Result, RunError};

impl Compute<'_> {
    /// True if a step reads the cells of a node.
    pub(super) fn is_read(&self, cells: &str) -> bool {
        self.plan.values.get(cells).is_some_and(|cells| cells.last_use.is_some())
    }

    /// Writes cells that a later step reads; the decode stage writes all others.
    pub(super) fn write_read(
        &self,
        batch: &mut MicroBatch,
        node: &str,
        stream: &str,
        from: &str,
        to: &str,
    ) -> Result<()> {
        if !self.is_read(to) {
            return Ok(());
        }
        let array = value(batch, from)?;
        let (cells, failed) = watch::in_node(node, || write_cells(&self.codecs[stream], array, self.threads))?;
        failed.into_iter().for_each(|failed| batch.fail(failed.row, node, "write", failed.text));
        batch.cells.insert(to.to_string(), cells);
        Ok(())
    }

    /// Reads lists of numbers that a node made; the encode stage read those of inputs.
    pub(super) fn read_made_numbers(
        &self,
        batch: &mut MicroBatch,
        node: &str,
        numbers: i64,
        from: &str,
        to: &str,
    ) -> Result<()> {
        if self.plan.inputs.contains_key(from) || self.plan.constants.contains_key(from) {
            return Ok(());
        }
        let (array, failed) = numbers_of(self.made(batch, from)?.into_iter().map(Ok), numbers)?;
        for failed in failed {
            batch.fail(failed.row, node, "cell", format!("cells of {from}: {}", failed.text));
        }
        batch.values.insert(to.to_string(), array);
        Ok(())
    }

    /// The cells that a node made.
    fn made<'b>(&self, batch: &'b MicroBatch, from: &str) -> Result<Vec<Option<Cell<'b>>>> {
        let missing = || RunError::Internal(format!("cells {from} are missing"));
        let cells = batch.cells.get(from).ok_or_else(missing)?;
        Ok(cells.iter().map(|cell| cell.as_ref().map(OwnedCell::as_cell)).collect())
    }

    /// Reads cells that a node made; the encode stage read those of inputs.
    pub(super) fn read_made(
        &self,
        batch: &mut MicroBatch,
        node: &str,
        stream: &str,
        from: &str,
        to: &str,
    ) -> Result<()> {
        if self.plan.inputs.contains_key(from) || self.plan.constants.contains_key(from) {
            return Ok(());
        }
        let views = self.made(batch, from)?;
        let (array, failed) = watch::in_node(node, || self.codecs[stream].encode(&views, self.threads))?;
        for failed in failed {
            batch.fail(failed.row, node, "cell", format!("cells of {from}: {}", failed.text));
        }
        batch.values.insert(to.to_string(), array);
        Ok(())
    }
}
