//! Matches the rows of two datasets.

use std::collections::BTreeMap;

use super::{Lost, Pair, Paired, Renamed, readable};
use crate::cell::Cell;
use crate::draw::Draws;
use crate::error::{DatasetError, Result};
use crate::feature::{CellKind, Feature};
use crate::read::{Bound, Dataset};

/// A change of it changes all users' pairs.
const CONTEXT: &str = "anyflow-datasets pair 1";

/// Rows of each value of the join column, in order of row; sorted, so that nothing depends on hashing.
pub(super) type RowsByValue = BTreeMap<String, Vec<u64>>;

const BOUND: Bound = Bound::rows(8192);
/// Values to quote if two columns have none in common.
const QUOTED_VALUES: usize = 5;

/// Reads the join column of both sides.
pub(super) fn rows_by_value(a: &Dataset, b: &Dataset, on: &str) -> Result<(RowsByValue, RowsByValue)> {
    let feature_a = a.column(on)?;
    let feature_b = b.column(on)?;
    let values_a = read(a, on, names(feature_a).filter(|_| is_named(feature_b)))?;
    let values_b = read(b, on, names(feature_b).filter(|_| is_named(feature_a)))?;
    Ok((values_a, values_b))
}

/// All pairs in output order, and the numbers of unpaired rows.
pub(super) fn pairs(a: &RowsByValue, b: &RowsByValue, multiplicity: u32, seed: u64) -> (Vec<Pair>, Paired) {
    let mut pairs = Vec::new();
    let mut classes = 0;
    let mut paired_rows = (0, 0);
    for (value, rows_a) in a {
        let Some(rows_b) = b.get(value) else { continue };
        classes += 1;
        paired_rows.0 += rows_a.len() as u64;
        paired_rows.1 += rows_b.len() as u64;
        for index in 0..u64::from(multiplicity) {
            pairs.extend(matching(rows_a, rows_b, seed, value, index));
        }
    }
    let one_to_one = pairs.len() == classes;
    if one_to_one {
        pairs.sort_unstable()
    } else {
        Draws::new(CONTEXT, seed, "order", 0).shuffle(&mut pairs)
    }
    let unpaired = |rows: &RowsByValue, paired: u64| count(rows) - paired;
    let paired = Paired {
        rows: pairs.len() as u64,
        classes: classes as u64,
        unpaired_a: unpaired(a, paired_rows.0),
        unpaired_b: unpaired(b, paired_rows.1),
        renamed: Renamed::new(),
        lost: Lost::default(),
    };
    (pairs, paired)
}

/// Rows that have a value.
pub(super) fn count(rows: &RowsByValue) -> u64 {
    rows.values().map(|rows| rows.len() as u64).sum()
}

/// The error that quotes some values of both sides.
pub(super) fn nothing_to_pair(on: &str, a: &RowsByValue, b: &RowsByValue) -> DatasetError {
    let quote = |rows: &RowsByValue| {
        let values: Vec<&str> = rows.keys().take(QUOTED_VALUES).map(String::as_str).collect();
        if values.is_empty() { "no value".into() } else { values.join(", ") }
    };
    DatasetError::NothingToPair { column: on.to_string(), first: quote(a), second: quote(b) }
}

/// One matching of one value: both sides shuffled and zipped, the shorter one repeated.
fn matching(rows_a: &[u64], rows_b: &[u64], seed: u64, value: &str, index: u64) -> Vec<Pair> {
    let shuffled = |side: &str, rows: &[u64]| {
        let mut rows = rows.to_vec();
        Draws::new(CONTEXT, seed, &format!("{side}/{value}"), index).shuffle(&mut rows);
        rows
    };
    let a = shuffled("a", rows_a);
    let b = shuffled("b", rows_b);
    let longest = a.len().max(b.len());
    a.into_iter().cycle().zip(b.into_iter().cycle()).take(longest).collect()
}

fn names(feature: &Feature) -> Option<&[String]> {
    match feature {
        Feature::ClassLabel { names } if !names.is_empty() => Some(names),
        _ => None,
    }
}

/// True if the other side can be compared by name: this one is text, or has class names.
fn is_named(feature: &Feature) -> bool {
    feature.cell() == Some(CellKind::Utf8) || names(feature).is_some()
}

fn read(dataset: &Dataset, on: &str, names: Option<&[String]>) -> Result<RowsByValue> {
    let mut rows = RowsByValue::new();
    let mut row = 0;
    for batch in dataset.read(Some(&[on]), 0..dataset.rows(), BOUND)? {
        let cells = dataset.cells(&readable(batch?)?, on)?;
        for index in 0..cells.len() {
            if let Some(value) = text(on, cells.get(index)?, names)? {
                rows.entry(value).or_default().push(row);
            }
            row += 1;
        }
    }
    Ok(rows)
}

/// The value to compare by. Null and classes without name match nothing.
fn text(on: &str, cell: Option<Cell<'_>>, names: Option<&[String]>) -> Result<Option<String>> {
    match cell {
        None => Ok(None),
        Some(Cell::Utf8(text)) => Ok(Some(text.to_string())),
        Some(Cell::I64(value)) => Ok(match names {
            Some(names) => usize::try_from(value).ok().and_then(|index| names.get(index).cloned()),
            None => Some(value.to_string()),
        }),
        Some(other) => Err(DatasetError::ColumnType {
            column: on.to_string(),
            expected: "text, integers or class labels".into(),
            found: format!("{:?}", other.kind()),
        }),
    }
}
