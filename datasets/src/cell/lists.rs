//! Reads columns of nested lists of numbers.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float64Type};

use super::{convert, expect, wrong_type};
use crate::error::Result;
use crate::list::List;

/// The lists of a column: numbers as f64, and lengths row by row.
#[derive(Clone, Debug)]
pub(super) struct Lists {
    depth: u32,
    values: Float64Array,
    lengths: Vec<u64>,
    rows: Vec<Row>,
}

/// The ranges of one row's list.
#[derive(Clone, Debug)]
struct Row {
    values: Range<usize>,
    lengths: Range<usize>,
    holds_null: bool,
}

/// The offsets of one level of nesting: list `i` has the items `offsets[i]..offsets[i + 1]`.
#[derive(Debug)]
pub(super) struct Level {
    offsets: Vec<usize>,
    nulls: Option<NullBuffer>,
}

impl Lists {
    /// Reads `array`, lists of `depth` levels.
    pub(super) fn new(array: &ArrayRef, depth: u32) -> Result<Lists> {
        let mut levels = Vec::new();
        let mut items = array.clone();
        for _ in 0..depth {
            let (level, inner) = Level::new(&items)?;
            levels.push(level);
            items = inner;
        }
        let from = items.data_type();
        let fits = from.is_integer() || from.is_floating() || *from == DataType::Boolean;
        let values = convert(&expect(&items, fits, "numbers in the lists")?, &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>().clone();
        let mut lists = Lists { depth, values, lengths: Vec::new(), rows: Vec::with_capacity(array.len()) };
        (0..array.len()).for_each(|row| lists.add(&levels, row));
        Ok(lists)
    }

    fn add(&mut self, levels: &[Level], row: usize) {
        let first_length = self.lengths.len();
        let mut holds_null = walk(levels, row, &mut self.lengths);
        let values =
            levels.iter().fold(row..row + 1, |items, level| level.offsets[items.start]..level.offsets[items.end]);
        holds_null |= self.values.slice(values.start, values.len()).null_count() > 0;
        self.rows.push(Row { values, lengths: first_length..self.lengths.len(), holds_null });
    }

    /// The list of a row; `None` if it holds a null.
    pub(super) fn get(&self, row: usize) -> Option<List<'_>> {
        let Row { values, lengths, holds_null } = self.rows[row].clone();
        let list = List { depth: self.depth, values: &self.values.values()[values], lengths: &self.lengths[lengths] };
        (!holds_null).then_some(list)
    }
}

impl Level {
    /// Splits `array` into its outermost level and the items in it.
    pub(super) fn new(array: &ArrayRef) -> Result<(Level, ArrayRef)> {
        let (offsets, items) = match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (list.value_offsets().iter().map(|at| *at as usize).collect(), list.values().clone())
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                (list.value_offsets().iter().map(|at| *at as usize).collect(), list.values().clone())
            }
            DataType::FixedSizeList(_, size) => {
                let list = array.as_fixed_size_list();
                let offset = |row: usize| list.value_offset(0) as usize + row * *size as usize;
                ((0..=list.len()).map(offset).collect(), list.values().clone())
            }
            other => return Err(wrong_type("a list", other.to_string())),
        };
        Ok((Level { offsets, nulls: array.nulls().cloned() }, items))
    }

    /// The indices of the items of a list.
    pub(super) fn items(&self, list: usize) -> Range<usize> {
        self.offsets[list]..self.offsets[list + 1]
    }
}

/// Appends the lengths of list `at` of the first level. Returns true if a list in it is null.
fn walk(levels: &[Level], at: usize, lengths: &mut Vec<u64>) -> bool {
    let Some((level, inner)) = levels.split_first() else { return false };
    let items = level.items(at);
    lengths.push(items.len() as u64);
    let mut holds_null = level.nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
    if !inner.is_empty() {
        items.for_each(|item| holds_null |= walk(inner, item, lengths));
    }
    holds_null
}
