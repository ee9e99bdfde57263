//! Pairs two datasets by class, as MNIST-SVHN in the literature on multimodal autoencoders.
//!
//! For each value of the join column, each *matching* shuffles the rows of both sides and zips them. The shorter side
//! is repeated until every row of the longer one has a partner. There are `multiplicity` matchings. The same seed and
//! data give the same file. On a column with unique values (`id`) this is a plain join.

mod join;
mod matching;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use indexmap::IndexMap;
pub use join::{KeyJoin, join};
use serde::Serialize;

use crate::error::{DatasetError, Result};
use crate::feature::{CellKind, Feature, Features, METADATA_KEY, media_type};
use crate::read::{Bound, Dataset, RowBatch, TakenRows};
use crate::write::TableWriter;

/// Row indices of both sides.
type Pair = (u64, u64);

/// Decoded bytes of one chunk of the output, the most in memory at once.
const CHUNK_BYTES: u64 = 192 << 20;
const MAX_CHUNK_ROWS: u64 = 1 << 16;
/// Rows of one side that are joined at once.
const BOUND: Bound = Bound::rows(1 << 13);
const ID: &str = "id";

/// The result of [`pair`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Paired {
    /// Rows of the output.
    pub rows: u64,
    /// Values of the join column that both sides have.
    pub classes: u64,
    /// Rows of the first dataset without partner.
    pub unpaired_a: u64,
    /// Rows of the second dataset without partner.
    pub unpaired_b: u64,
    /// Columns that have other names in the output.
    pub renamed: Renamed,
    /// Pairs that are left out, because a row cannot be read.
    #[serde(flatten)]
    pub lost: Lost,
}

/// Columns of both sides that have one name, and the names that they have in the output.
pub type Renamed = IndexMap<String, Vec<String>>;

/// Pairs with a row that cannot be read, such as one whose file is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Their number.
    pub unreadable: u64,
    /// Why the first of these rows cannot be read.
    pub reason: Option<String>,
}

/// Joins `a` and `b` on column `on` and writes the pairs to the Parquet file `out`.
///
/// Class labels are compared by name if both sides have names. The output has a fresh `id` (unless `on` is `id`),
/// then `on`, then the other columns of `a` and `b`; names on both sides, and `id`, get the suffix `_a` or `_b`. Rows
/// come in random order, or in the order of `a` if the join is one to one. Memory: 16 bytes per pair, the join values,
/// and a chunk of the output.
///
/// # Errors
/// [`DatasetError::UnknownColumn`], [`DatasetError::ColumnType`] if `on` is neither text nor integers,
/// [`DatasetError::NothingToPair`], and errors of reading and writing.
pub fn pair(a: &Dataset, b: &Dataset, on: &str, multiplicity: u32, seed: u64, out: &Path) -> Result<Paired> {
    let (by_value_a, by_value_b) = matching::rows_by_value(a, b, on)?;
    let (pairs, mut paired) = matching::pairs(&by_value_a, &by_value_b, multiplicity, seed);
    if paired.classes == 0 {
        return Err(matching::nothing_to_pair(on, &by_value_a, &by_value_b));
    }
    paired.unpaired_a += a.rows() - matching::count(&by_value_a);
    paired.unpaired_b += b.rows() - matching::count(&by_value_b);
    let layout = Layout::new(a, b, on, on != ID);
    paired.renamed = layout.renamed.clone();
    let mut writer = TableWriter::create(out, &layout.schema, &layout.features)?;
    for chunk in pairs.chunks(chunk_rows(a, b)) {
        layout.write(&mut writer, [a, b], chunk, &mut paired.lost)?;
    }
    paired.rows = writer.finish()?.rows;
    Ok(paired)
}

/// Columns of the output and their sources.
struct Layout {
    schema: Arc<Schema>,
    features: Features,
    fresh_id: bool,
    columns_a: Vec<String>,
    columns_b: Vec<String>,
    renamed: Renamed,
}

impl Layout {
    fn new(a: &Dataset, b: &Dataset, on: &str, fresh_id: bool) -> Layout {
        let others =
            |dataset: &Dataset| dataset.features().keys().filter(|name| *name != on).cloned().collect::<Vec<_>>();
        let columns_a: Vec<String> = std::iter::once(on.to_string()).chain(others(a)).collect();
        let columns_b = others(b);
        let mut fields = Vec::new();
        let mut features = Features::default();
        let mut renamed = Renamed::new();
        if fresh_id {
            fields.push(Field::new(ID, DataType::Int64, false));
            features.0.insert(ID.to_string(), Feature::Value("int64".into()));
        }
        for (dataset, columns, suffix) in [(a, &columns_a, "_a"), (b, &columns_b, "_b")] {
            for column in columns {
                let clash = column != on
                    && ((fresh_id && column == ID) || (columns_a.contains(column) && columns_b.contains(column)));
                let name = if clash { free_name(format!("{column}{suffix}"), a, b) } else { column.clone() };
                if clash {
                    renamed.entry(column.clone()).or_default().push(name.clone());
                }
                let data_type = type_after_embedding(dataset, column);
                fields.push(Field::new(&name, data_type, true));
                features.0.insert(name, dataset.features()[column].clone());
            }
        }
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata(a, b)));
        Layout { schema, features, fresh_id, columns_a, columns_b, renamed }
    }

    /// Writes the rows of some pairs, in pieces within the bounds of both sides. Counts those that cannot be read.
    fn write(&self, writer: &mut TableWriter, sides: [&Dataset; 2], pairs: &[Pair], lost: &mut Lost) -> Result<()> {
        let (rows_a, rows_b): (Vec<u64>, Vec<u64>) = pairs.iter().copied().unzip();
        let taken_a = Side::new(sides[0], &self.columns_a, &rows_a)?;
        let mut taken_b = Side::new(sides[1], &self.columns_b, &rows_b)?;
        for rows in taken_a {
            let mut rows = rows?;
            while rows.num_rows() > 0 {
                let partners = taken_b.next_rows(rows.num_rows())?;
                let count = partners.num_rows();
                let batch = self.joined(&rows.slice(0, count), &partners, writer.rows(), lost);
                writer.write(&batch.map_err(|error| DatasetError::internal("pairing rows", error))?)?;
                rows = rows.slice(count, rows.num_rows() - count);
            }
        }
        Ok(())
    }

    /// The readable rows of both sides next to each other; `first` is the number of the first one.
    fn joined(&self, a: &RowBatch, b: &RowBatch, first: u64, lost: &mut Lost) -> Result<RecordBatch, ArrowError> {
        let good = lost.readable(a, b);
        let count = good.true_count() as i64;
        let id: ArrayRef = Arc::new(Int64Array::from_iter_values(first as i64..first as i64 + count));
        let sides = a.columns().iter().chain(b.columns()).map(|column| filter(column, &good));
        let columns = self.fresh_id.then_some(Ok(id)).into_iter().chain(sides);
        RecordBatch::try_new(self.schema.clone(), columns.collect::<Result<_, _>>()?)
    }
}

impl Lost {
    /// Which of the next pairs can be read.
    fn readable(&mut self, a: &RowBatch, b: &RowBatch) -> BooleanArray {
        let mut good = vec![true; a.num_rows()];
        for bad in a.unreadable.iter().chain(&b.unreadable) {
            self.unreadable += u64::from(std::mem::replace(&mut good[bad.row], false));
            self.reason.get_or_insert_with(|| bad.reason.clone());
        }
        good.into()
    }
}

/// The chosen rows of one side, their files embedded.
struct Side<'a> {
    dataset: &'a Dataset,
    taken: TakenRows,
    rest: Option<RowBatch>,
}

impl<'a> Side<'a> {
    fn new(dataset: &'a Dataset, columns: &[String], rows: &[u64]) -> Result<Side<'a>> {
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        Ok(Side { dataset, taken: dataset.take(Some(&names), rows, BOUND)?, rest: None })
    }

    /// The next rows, at most `most`.
    fn next_rows(&mut self, most: usize) -> Result<RowBatch> {
        let rows = match self.rest.take() {
            Some(rows) => rows,
            None => {
                self.next().transpose()?.ok_or_else(|| DatasetError::internal("pairing rows", "a side ends early"))?
            }
        };
        let count = most.min(rows.num_rows());
        self.rest = Some(rows.slice(count, rows.num_rows() - count)).filter(|rest| rest.num_rows() > 0);
        Ok(rows.slice(0, count))
    }
}

impl Iterator for Side<'_> {
    type Item = Result<RowBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let embed = |rows| self.dataset.embed(RowBatch { first_row: 0, rows, unreadable: Vec::new() });
        Some(self.taken.next()?.and_then(embed))
    }
}

/// The rows of a batch, if all are readable.
fn readable(batch: RowBatch) -> Result<RecordBatch> {
    match batch.unreadable.into_iter().next() {
        None => Ok(batch.rows),
        Some(bad) => Err(DatasetError::UnreadableRow { reason: bad.reason }),
    }
}

/// The type of a column after embedding: media columns of paths become records with bytes.
fn type_after_embedding(dataset: &Dataset, column: &str) -> DataType {
    let data_type = dataset.schema().field_with_name(column).map_or(DataType::Null, |field| field.data_type().clone());
    let is_bare = match &data_type {
        DataType::Struct(fields) => fields.find("bytes").is_none_or(|(_, bytes)| *bytes.data_type() == DataType::Null),
        other => Feature::from_arrow(other).cell() == Some(CellKind::Utf8),
    };
    if dataset.features()[column].is_media() && is_bare { media_type() } else { data_type }
}

/// Extends a suffixed name that exists already (`image` next to `image_a`).
fn free_name(mut name: String, a: &Dataset, b: &Dataset) -> String {
    while a.features().contains_key(&name) || b.features().contains_key(&name) {
        name.push('_');
    }
    name
}

/// Merges the metadata of both files: a pair is under the licences of both sides.
fn metadata(a: &Dataset, b: &Dataset) -> HashMap<String, String> {
    let mut merged = a.schema().metadata().clone();
    let theirs: BTreeMap<&String, &String> = b.schema().metadata().iter().collect();
    for (key, theirs) in theirs {
        let ours = merged.entry(key.clone()).or_insert_with(|| theirs.clone());
        if ours != theirs && key != METADATA_KEY {
            *ours = format!("{ours}; {theirs}");
        }
    }
    merged
}

fn chunk_rows(a: &Dataset, b: &Dataset) -> usize {
    let row_bytes = |dataset: &Dataset| {
        let groups = dataset.parts().iter().flat_map(|part| part.metadata.metadata().row_groups());
        let columns = groups.flat_map(|group| group.columns());
        let bytes = columns.map(|column| u64::try_from(column.uncompressed_size()).unwrap_or(0));
        bytes.fold(0, u64::saturating_add) / dataset.rows().max(1)
    };
    let rows = CHUNK_BYTES / row_bytes(a).saturating_add(row_bytes(b)).max(1);
    rows.clamp(1, MAX_CHUNK_ROWS) as usize
}
