//! Joins the rows of a dataset with those of another by a key, as outputs of a run with the rows they were made from.

use std::path::Path;

use serde::Serialize;

use super::matching::{self, RowsByValue};
use super::{Layout, Lost, Pair, Renamed, chunk_rows};
use crate::error::{DatasetError, Result};
use crate::read::Dataset;
use crate::write::TableWriter;

/// The result of [`join`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyJoin {
    /// Rows of the output.
    pub rows: u64,
    /// Rows of the first dataset whose key the second one lacks.
    pub unmatched_a: u64,
    /// Rows of the second dataset whose key the first one lacks.
    pub unmatched_b: u64,
    /// Columns that have other names in the output.
    pub renamed: Renamed,
    /// Rows that are left out, because they or their partners cannot be read.
    #[serde(flatten)]
    pub lost: Lost,
}

/// Writes each row of `b` with the row of `a` that has the same value in column `on`, in the order of `b`, to the Parquet
/// file `out`.
///
/// Each key is in `a` at most once, and in `b` any number of times. Labels are compared by name if both sides have names.
/// The output has `on`, then the other columns of `a` and `b`; names on both sides get the suffix `_a` or `_b`. Memory: as
/// [`pair`](super::pair()).
///
/// # Errors
/// [`DatasetError::RepeatedKey`]; else as [`pair`](super::pair()).
pub fn join(a: &Dataset, b: &Dataset, on: &str, out: &Path) -> Result<KeyJoin> {
    let (by_key_a, by_key_b) = matching::rows_by_value(a, b, on)?;
    if let Some((key, rows)) = by_key_a.iter().find(|(_, rows)| rows.len() > 1) {
        let (first, second) = (rows[0], rows[1]);
        return Err(DatasetError::RepeatedKey { column: on.into(), key: key.clone(), first, second });
    }
    let pairs = pairs(&by_key_a, &by_key_b);
    if pairs.is_empty() {
        return Err(matching::nothing_to_pair(on, &by_key_a, &by_key_b));
    }
    let matched = by_key_a.keys().filter(|key| by_key_b.contains_key(*key)).count() as u64;
    let layout = Layout::new(a, b, on, false);
    let mut writer = TableWriter::create(out, &layout.schema, &layout.features)?;
    let mut lost = Lost::default();
    for chunk in pairs.chunks(chunk_rows(a, b)) {
        layout.write(&mut writer, [a, b], chunk, &mut lost)?;
    }
    let rows = writer.finish()?.rows;
    let unmatched_b = b.rows() - pairs.len() as u64;
    Ok(KeyJoin { rows, unmatched_a: a.rows() - matched, unmatched_b, renamed: layout.renamed, lost })
}

/// The row of `a` for each row of `b` that has one, in the order of `b`.
fn pairs(a: &RowsByValue, b: &RowsByValue) -> Vec<Pair> {
    let matches = b.iter().filter_map(|(key, rows)| Some((*a.get(key)?.first()?, rows)));
    let mut pairs: Vec<Pair> =
        matches.flat_map(|(row_a, rows)| rows.iter().map(move |row_b| (row_a, *row_b))).collect();
    pairs.sort_unstable_by_key(|(_, row_b)| *row_b);
    pairs
}
