//! Splits a dataset by the hash of its keys, so that a row stays in its part when others come or go.

mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use serde::Serialize;

use crate::draw::Draws;
use crate::error::{DatasetError, Result};
use crate::folder::Folder;
use crate::job::JobId;
use crate::key::{RowKey, check_key, row_keys};
use crate::read::{Bound, Content, Dataset};
use crate::width;
use crate::write::TableWriter;
use record::PartFile;
pub(crate) use record::{Parts, SPLIT_FILE, SplitRecord};

/// A change of it moves rows between the parts of all users.
const CONTEXT: &str = "anyflow-datasets split 1";
const BOUND: Bound = Bound::rows(1 << 13);

/// A part to make: about this share of the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitPart {
    /// The name of its file, without ending.
    pub name: String,
    /// Its share, above 0. All shares together are at most 1.
    pub fraction: f64,
}

/// What [`split`] needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Splitting {
    /// The parts.
    pub parts: Vec<SplitPart>,
    /// The column of keys; by default `id` if there is one, else the number of the row.
    pub key: Option<String>,
    /// Another seed gives other parts.
    pub seed: u64,
}

/// The result of [`split`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SplitResult {
    /// The files with their rows, in the order of the parts.
    pub files: Vec<SplitFile>,
    /// Rows of no part, if the shares are less than 1 together.
    pub left_over: u64,
    /// Rows that cannot be read, which are in no part.
    pub unreadable: u64,
    /// Why the first of them cannot be read.
    pub reason: Option<String>,
}

/// A file of a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SplitFile {
    /// Its path.
    pub path: PathBuf,
    /// Its rows.
    pub rows: u64,
}

/// Writes each row of a dataset to the file `NAME.parquet` of its part in `folder`, which only this split may write to.
///
/// The part of a row follows from its key, the seed and the shares alone: the order and number of other rows do not
/// matter, and rows with equal keys are in one part. Files that cells name are embedded. The same split again completes
/// one that was killed, and keeps one that has ended. Readers refuse the folder until all parts are there.
///
/// # Errors
/// [`DatasetError::UnknownColumn`] and [`DatasetError::ColumnType`] for the key; [`DatasetError::OtherJob`] and
/// [`DatasetError::NotOurs`] for a folder with something else; [`DatasetError::TooWide`];
/// errors of reading and writing.
pub fn split(dataset: &Dataset, splitting: &Splitting, folder: &Path) -> Result<SplitResult> {
    check_key(dataset, splitting.key.as_deref())?;
    width::check(folder, dataset.schema(), splitting.parts.len() as u64)?;
    let content = dataset.content()?;
    let folder = Folder::open(folder)?;
    let names: Vec<String> = splitting.parts.iter().map(|part| format!("{}.parquet", part.name)).collect();
    let mut record = SplitRecord::claim(&folder, &splitting.job(&content), &names)?;
    if let Some(parts) = record.parts.take()
        && parts.are_in(&folder)?
    {
        return Ok(parts.into_result(&folder));
    }
    folder.sweep("")?;
    record.write(&folder)?;
    let parts = write_parts(dataset, splitting, &folder, &names)?;
    dataset.check_linked(&content)?;
    record.parts = Some(parts.clone());
    record.write(&folder)?;
    Ok(parts.into_result(&folder))
}

impl Splitting {
    /// The identity of this split of a dataset.
    fn job(&self, content: &Content) -> JobId {
        let parts: Vec<String> = self.parts.iter().map(|part| format!("{} {}", part.name, part.fraction)).collect();
        let job = JobId::default().with("input", content).with("parts", parts.join(", ")).with("seed", self.seed);
        let job = job.with("program", CONTEXT);
        self.key.iter().fold(job, |job, key| job.with("key", key))
    }
}

impl Parts {
    fn into_result(self, folder: &Folder) -> SplitResult {
        let file = |file: PartFile| SplitFile { path: folder.path().join(file.name), rows: file.rows };
        let Parts { files, left_over, unreadable, reason } = self;
        SplitResult { files: files.into_iter().map(file).collect(), left_over, unreadable, reason }
    }
}

/// Writes the parts to the files of these names.
fn write_parts(dataset: &Dataset, splitting: &Splitting, folder: &Folder, names: &[String]) -> Result<Parts> {
    let Splitting { parts, key, seed } = splitting;
    let mut batches = dataset.read(None, 0..dataset.rows(), BOUND)?.embedded(dataset).peekable();
    // Files that cells name are in the first batch already, which has the type of all.
    let schema = batches.peek().and_then(|first| Some(first.as_ref().ok()?.rows.schema()));
    let schema = schema.unwrap_or_else(|| dataset.schema().clone());
    let create = |name: &String| TableWriter::create_in(folder, name, &schema, dataset.features());
    let mut writers = names.iter().map(create).collect::<Result<Vec<_>>>()?;
    let mut result = Parts { files: Vec::new(), left_over: 0, unreadable: 0, reason: None };
    for batch in batches {
        let batch = batch?;
        let keys = row_keys(&batch.rows, key.as_deref(), batch.first_row..)?;
        let mut part: Vec<Option<usize>> = keys.iter().map(|key| part_of(parts, *seed, key)).collect();
        result.left_over += part.iter().filter(|part| part.is_none()).count() as u64;
        for bad in batch.unreadable {
            result.left_over -= u64::from(part[bad.row].is_none());
            part[bad.row] = None;
            result.unreadable += 1;
            result.reason.get_or_insert(bad.reason);
        }
        let rows = of_type(&batch.rows, &schema).map_err(internal)?;
        for (index, writer) in writers.iter_mut().enumerate() {
            let mask: BooleanArray = part.iter().map(|part| Some(*part == Some(index))).collect();
            writer.write(&filter_record_batch(&rows, &mask).map_err(internal)?)?;
        }
    }
    for (name, writer) in names.iter().zip(writers) {
        let written = writer.finish()?;
        result.files.push(PartFile { name: name.clone(), rows: written.rows, content: written.into() });
    }
    Ok(result)
}

/// The part of a key.
fn part_of(parts: &[SplitPart], seed: u64, key: &RowKey) -> Option<usize> {
    let place = Draws::new(CONTEXT, seed, &key.text, 0).between(0.0, 1.0);
    let mut end = 0.0;
    let last = parts.len().checked_sub(1)?;
    parts.iter().enumerate().find_map(|(index, part)| {
        end += part.fraction;
        // Shares such as 0.7, 0.2 and 0.1 add up to a little less than 1.
        let end = if index == last && (end - 1.0).abs() < 1e-9 { 1.0 } else { end };
        (place < end).then_some(index)
    })
}

/// The rows in the types of a schema.
fn of_type(rows: &RecordBatch, schema: &Arc<Schema>) -> Result<RecordBatch, ArrowError> {
    let fields = rows.columns().iter().zip(schema.fields());
    let columns = fields.map(|(column, field)| cast(column, field.data_type())).collect::<Result<_, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}

fn internal(error: ArrowError) -> DatasetError {
    DatasetError::internal("splitting a dataset", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(fractions: &[f64]) -> Vec<SplitPart> {
        fractions.iter().map(|fraction| SplitPart { name: String::new(), fraction: *fraction }).collect()
    }

    fn counts(fractions: &[f64], seed: u64) -> Vec<usize> {
        let parts = parts(fractions);
        let mut counts = vec![0; fractions.len() + 1];
        for row in 0..10_000 {
            let part = part_of(&parts, seed, &RowKey::new(format!("row-{row}")));
            counts[part.unwrap_or(fractions.len())] += 1;
        }
        counts
    }

    #[test]
    fn parts_have_about_their_share() {
        for (fractions, seed) in [(&[0.8, 0.1, 0.1][..], 0), (&[0.7, 0.2, 0.1], 1), (&[0.5], 2)] {
            let counts = counts(fractions, seed);
            for (count, fraction) in counts.iter().zip(fractions) {
                assert!((*count as f64 / 1e4 - fraction).abs() < 0.02, "{counts:?} of {fractions:?}");
            }
            assert_eq!(counts[fractions.len()] > 0, fractions.iter().sum::<f64>() < 0.9, "{counts:?}");
        }
        assert_ne!(counts(&[0.5, 0.5], 0), counts(&[0.5, 0.5], 1));
    }

    #[test]
    fn the_parts_of_keys_are_pinned() {
        let parts = parts(&[0.5, 0.25, 0.25]);
        let found: Vec<Option<usize>> = (0..8).map(|row| part_of(&parts, 0, &RowKey::new(format!("{row}")))).collect();
        assert_eq!(found, PINNED, "a change moves rows from tests to trainings");
    }

    const PINNED: [Option<usize>; 8] = [Some(1), Some(2), Some(0), Some(2), Some(1), Some(0), Some(0), Some(2)];
}
