//! The input columns that a run copies to its output.

use anyflow_datasets::{Bound, Cell, CellKind, Dataset};
use anyflow_plan::plan::RunPlan;

use crate::command::bytes;
use crate::error::Result;

/// A column whose first cells are larger on average is copied only if the user asks for it.
const LARGE_CELL_BYTES: u64 = 16 << 10;
const FIRST_ROWS: Bound = Bound { rows: 64, bytes: 32 << 20 };
/// Stands for all columns in `--keep`.
pub const EVERYTHING: &str = "*";

/// The columns to copy.
pub struct KeptColumns {
    /// Their names; `None` for all.
    pub names: Option<Vec<String>>,
    /// Large columns that are not copied because nobody asked for them.
    pub left_out: Vec<LargeColumn>,
}

/// A column with large cells.
pub struct LargeColumn {
    /// Its name.
    pub name: String,
    /// Mean bytes of its first cells.
    pub bytes: u64,
}

impl KeptColumns {
    /// The columns that the user names; without a choice, all but the large files that the pipeline reads.
    ///
    /// # Errors
    /// The dataset cannot be read.
    pub fn choose(plan: &RunPlan, dataset: &Dataset, asked: Option<&[String]>) -> Result<KeptColumns> {
        let names = match asked {
            Some(names) if names.iter().any(|name| name == EVERYTHING) => None,
            Some(names) => Some(names.to_vec()),
            None => return KeptColumns::without_large(plan, dataset),
        };
        Ok(KeptColumns { names, left_out: Vec::new() })
    }

    fn without_large(plan: &RunPlan, dataset: &Dataset) -> Result<KeptColumns> {
        let mut left_out = Vec::new();
        for (name, feature) in dataset.features().iter() {
            let is_file = matches!(feature.cell(), Some(CellKind::Bytes | CellKind::Files));
            let is_read = plan.inputs.values().any(|input| input.column == *name);
            if is_file && is_read && !plan.outputs.contains_key(name) {
                let bytes = mean_bytes(dataset, name)?;
                left_out.extend((bytes > LARGE_CELL_BYTES).then(|| LargeColumn { name: name.clone(), bytes }));
            }
        }
        let is_kept = |name: &&String| left_out.iter().all(|large| large.name != **name);
        let names = (!left_out.is_empty()).then(|| dataset.features().keys().filter(is_kept).cloned().collect());
        Ok(KeptColumns { names, left_out })
    }

    /// What the user should know.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        self.left_out.iter().map(|LargeColumn { name, bytes: size }| {
            format!(
                "column `{name}` (about {} a row) is read and not copied to the output; to copy it, name it with --keep, or \
                 use --keep '{EVERYTHING}' for all columns",
                bytes(*size)
            )
        })
    }
}

/// Mean bytes of the first files of a column, also of those that its cells only name.
///
/// # Errors
/// The dataset cannot be read.
pub fn mean_bytes(dataset: &Dataset, column: &str) -> Result<u64> {
    let mut batches = dataset.read(Some(&[column]), 0..dataset.rows(), FIRST_ROWS)?.embedded(dataset);
    let Some(batch) = batches.next().transpose()? else { return Ok(0) };
    let cells = dataset.cells(&batch.rows, column)?;
    let size = |row: usize| match cells.get(row) {
        Ok(Some(Cell::Bytes(bytes))) => Some(bytes.len() as u64),
        Ok(Some(Cell::Files(files))) => Some(files.iter().map(|file| file.len() as u64).sum()),
        _ => None,
    };
    let sizes: Vec<u64> = (0..cells.len()).filter_map(size).collect();
    Ok(sizes.iter().sum::<u64>() / sizes.len().max(1) as u64)
}
