//! Conditions on the columns of a row: `label = 3 and not (split = 'test' or score is null)`.
//!
//! ```text
//! condition   = comparison { ("and" | "or") comparison }, "and" before "or", "not" and parentheses as in SQL
//! comparison  = column operator value | column "is" ["not"] "null" | column ["not"] "in" "(" value, ... ")"
//! operator    = "=" "!=" "<" "<=" ">" ">="
//! column      = name, or "any name" in double quotation marks
//! value       = number | 'text' | true | false
//! ```
//! Labels with class names are compared by name if the value is text, times with text such as `'2026-01-31'`. As in SQL, a
//! comparison with null is neither true nor false, and only rows for which the condition is true are selected.

mod compare;
mod parse;

use std::collections::BTreeSet;
use std::ops::Range;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::compute::{and_kleene, is_null, not, or_kleene};
use arrow::error::ArrowError;

use crate::error::{DatasetError, Result};
use crate::read::{Bound, Dataset};
use crate::row_set::RowSet;

const BOUND: Bound = Bound::rows(8192);

/// A condition that selects rows.
#[derive(Clone, Debug, PartialEq)]
pub struct RowFilter {
    root: Expression,
    text: String,
}

/// A part of a condition.
#[derive(Clone, Debug, PartialEq)]
enum Expression {
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    IsNull(String),
    Compare { column: String, operator: Operator, value: Literal },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    Different,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// A value in a condition.
#[derive(Clone, Debug, PartialEq)]
enum Literal {
    /// As it is written.
    Number(String),
    Text(String),
    Flag(bool),
}

impl RowFilter {
    /// Parses a condition.
    ///
    /// # Errors
    /// [`DatasetError::Filter`], with the place in the text.
    pub fn parse(text: &str) -> Result<RowFilter> {
        let refused = |parse::Unexpected { at, reason }| DatasetError::Filter { text: text.into(), at, reason };
        Ok(RowFilter { root: parse::condition(text).map_err(refused)?, text: text.into() })
    }

    /// The columns that it reads.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut columns = BTreeSet::new();
        self.root.add_columns(&mut columns);
        columns
    }

    /// The rows of a dataset for which the condition is true. Rows that cannot be read are selected too, so that whoever
    /// reads them counts them as failed.
    ///
    /// # Errors
    /// [`DatasetError::UnknownColumn`], [`DatasetError::ColumnType`] for a value of another kind than its column, and
    /// errors of reading.
    pub fn select(&self, dataset: &Dataset) -> Result<RowSet> {
        let columns: Vec<&str> = self.columns().into_iter().collect();
        let mut selected = RowSet::default();
        for batch in dataset.read(Some(&columns), 0..dataset.rows(), BOUND)? {
            let batch = batch?;
            let mask = self.mask(dataset, &batch.rows)?;
            let mut unreadable = batch.unreadable.iter().map(|bad| bad.row).peekable();
            for row in 0..batch.rows.num_rows() {
                let is_bad = unreadable.next_if_eq(&row).is_some();
                if is_bad || (mask.is_valid(row) && mask.value(row)) {
                    selected.push(batch.first_row + row as u64);
                }
            }
        }
        Ok(selected)
    }

    /// Checks columns and kinds of values without reading rows.
    ///
    /// # Errors
    /// As [`RowFilter::select`], without those of reading.
    pub fn check(&self, dataset: &Dataset) -> Result<()> {
        self.columns().into_iter().try_for_each(|column| dataset.column(column).map(drop))?;
        let empty = RecordBatch::new_empty(dataset.schema().clone());
        self.mask(dataset, &empty).map(drop)
    }

    fn mask(&self, dataset: &Dataset, rows: &RecordBatch) -> Result<BooleanArray> {
        let failed = |error: ArrowError| DatasetError::internal(format!("evaluating `{}`", self.text), error);
        self.root.mask(dataset, rows).map_err(|error| match error {
            compare::Uncomparable::Kind(error) => error,
            compare::Uncomparable::Arrow(error) => failed(error),
        })
    }
}

impl Expression {
    fn add_columns<'e>(&'e self, columns: &mut BTreeSet<&'e str>) {
        match self {
            Expression::And(a, b) | Expression::Or(a, b) => {
                a.add_columns(columns);
                b.add_columns(columns);
            }
            Expression::Not(inner) => inner.add_columns(columns),
            Expression::IsNull(column) | Expression::Compare { column, .. } => drop(columns.insert(column)),
        }
    }

    fn mask(&self, dataset: &Dataset, rows: &RecordBatch) -> Result<BooleanArray, compare::Uncomparable> {
        Ok(match self {
            Expression::And(a, b) => and_kleene(&a.mask(dataset, rows)?, &b.mask(dataset, rows)?)?,
            Expression::Or(a, b) => or_kleene(&a.mask(dataset, rows)?, &b.mask(dataset, rows)?)?,
            Expression::Not(inner) => not(&inner.mask(dataset, rows)?)?,
            Expression::IsNull(column) => is_null(compare::column_of(dataset, rows, column)?)?,
            Expression::Compare { column, operator, value } => {
                let feature = dataset.column(column)?;
                compare::mask(compare::column_of(dataset, rows, column)?, feature, *operator, value)
                    .map_err(|error| error.in_column(column))?
            }
        })
    }
}

/// The rows that a condition selects, of the whole dataset without one, and of these the ones at some places.
///
/// # Errors
/// Errors of [`RowFilter::parse`] and [`RowFilter::select`].
pub fn selected(dataset: &Dataset, condition: Option<&str>, places: Range<u64>) -> Result<RowSet> {
    let rows = match condition {
        Some(condition) => RowFilter::parse(condition)?.select(dataset)?,
        None => RowSet::from(0..dataset.rows()),
    };
    Ok(rows.slice(places))
}
