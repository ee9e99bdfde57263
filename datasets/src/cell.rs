//! Single values, as codecs read them from a column and write them to one.

mod build;
mod files;
mod integers;
mod linked;
mod lists;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type};

pub use build::column_from_cells;
pub(crate) use build::media_column;
use files::FileLists;
use integers::Integers;
use linked::LinkedFiles;
use lists::Lists;

use crate::error::{DatasetError, Result};
use crate::feature::{CellKind, Feature};
use crate::list::{List, OwnedList};

/// One value, borrowed from its column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// An encoded file or plain binary.
    Bytes(&'a [u8]),
    /// A string.
    Utf8(&'a str),
    /// An integer, boolean (0 or 1) or class index.
    I64(i64),
    /// A float.
    F64(f64),
    /// Numbers in nested lists.
    List(List<'a>),
    /// Encoded files, in order.
    Files(&'a [Vec<u8>]),
}

/// One owned value.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedCell {
    /// An encoded file or plain binary.
    Bytes(Vec<u8>),
    /// A string.
    Utf8(String),
    /// An integer, boolean (0 or 1) or class index.
    I64(i64),
    /// A float.
    F64(f64),
    /// Numbers in nested lists.
    List(OwnedList),
    /// Encoded files, in order.
    Files(Vec<Vec<u8>>),
}

impl Cell<'_> {
    /// Kind of this value.
    pub fn kind(&self) -> CellKind {
        match self {
            Cell::Bytes(_) => CellKind::Bytes,
            Cell::Utf8(_) => CellKind::Utf8,
            Cell::I64(_) => CellKind::I64,
            Cell::F64(_) => CellKind::F64,
            Cell::List(list) => CellKind::List(list.depth()),
            Cell::Files(_) => CellKind::Files,
        }
    }

    /// A copy that outlives the column.
    pub fn into_owned(self) -> OwnedCell {
        match self {
            Cell::Bytes(bytes) => OwnedCell::Bytes(bytes.to_vec()),
            Cell::Utf8(text) => OwnedCell::Utf8(text.to_string()),
            Cell::I64(value) => OwnedCell::I64(value),
            Cell::F64(value) => OwnedCell::F64(value),
            Cell::List(list) => OwnedCell::List(list.into_owned()),
            Cell::Files(files) => OwnedCell::Files(files.to_vec()),
        }
    }
}

impl OwnedCell {
    /// Kind of this value.
    pub fn kind(&self) -> CellKind {
        self.as_cell().kind()
    }

    /// The same value, borrowed.
    pub fn as_cell(&self) -> Cell<'_> {
        match self {
            OwnedCell::Bytes(bytes) => Cell::Bytes(bytes),
            OwnedCell::Utf8(text) => Cell::Utf8(text),
            OwnedCell::I64(value) => Cell::I64(*value),
            OwnedCell::F64(value) => Cell::F64(*value),
            OwnedCell::List(list) => Cell::List(list.as_list()),
            OwnedCell::Files(files) => Cell::Files(files),
        }
    }
}

/// A column whose rows can be read as [`Cell`]s of one kind.
///
/// Cloning shares the Arrow buffers. Media cells that hold only a path are read from disk on first use and kept as long
/// as the column.
#[derive(Clone, Debug)]
pub struct CellColumn {
    name: String,
    kind: CellKind,
    /// The column itself; the source of null rows.
    rows: ArrayRef,
    values: Values,
    /// Names of the classes of a label, by number.
    classes: Arc<[String]>,
}

/// Values of one kind.
#[derive(Clone, Debug)]
enum Values {
    /// Bytes in the column, and files that its cells point to. One of the two may be missing.
    Bytes(Option<ArrayRef>, Option<LinkedFiles>),
    Utf8(ArrayRef),
    I64(Integers),
    F64(Float64Array),
    List(Lists),
    Files(FileLists),
}

impl CellColumn {
    /// Views `array` as cells of the kind of `feature`. Numbers of other widths are converted once.
    ///
    /// # Errors
    /// [`DatasetError::ColumnType`] if the feature has no single values or the array does not hold its kind.
    pub fn new(array: &ArrayRef, feature: &Feature) -> Result<CellColumn> {
        let kind = feature
            .cell()
            .ok_or_else(|| wrong_type("bytes, text, a number, lists of numbers or of files", feature.describe()))?;
        let rows = plain(array)?;
        let values = match kind {
            CellKind::Bytes => {
                let (bytes, linked) = bytes_and_paths(&rows, feature)?;
                Values::Bytes(bytes, linked)
            }
            CellKind::Utf8 => Values::Utf8(expect(&rows, is_text(rows.data_type()), "text")?),
            CellKind::I64 => Values::I64(Integers::new(&rows)?),
            CellKind::F64 => {
                Values::F64(number(&rows, &DataType::Float64, false)?.as_primitive::<Float64Type>().clone())
            }
            CellKind::List(depth) => Values::List(Lists::new(&rows, depth)?),
            CellKind::Files => Values::Files(FileLists::new(&rows, feature)?),
        };
        let classes =
            if let Feature::ClassLabel { names } = feature { names.as_slice().into() } else { Arc::default() };
        Ok(CellColumn { name: String::new(), kind, rows, values, classes })
    }

    /// The same rows for a reader of integers: whole floats as integers, and words by their place among `classes`. A
    /// label whose classes have names gets the number of the same name in `classes`. Without `classes`, labels keep their
    /// numbers, and text is read as the number that it spells.
    ///
    /// # Errors
    /// [`DatasetError::ColumnType`] for other kinds of cells.
    pub fn as_integers(mut self, classes: &[String]) -> Result<CellColumn> {
        let integers = match &self.values {
            Values::F64(_) => Integers::whole(&self.rows)?,
            Values::Utf8(texts) if classes.is_empty() => Integers::of_digits(texts),
            Values::Utf8(words) => Integers::of_words(words, classes),
            Values::I64(integers) if classes.is_empty() || self.classes.is_empty() => integers.clone(),
            Values::I64(integers) => integers.renumbered(&self.classes, classes),
            _ => {
                let found = self.rows.data_type().to_string();
                return Err(
                    wrong_type("integers, or text that names classes or spells integers", found).in_column(&self.name)
                );
            }
        };
        self.kind = CellKind::I64;
        self.values = Values::I64(integers);
        Ok(self)
    }

    /// Sets the column's name for messages, and the folder that paths in cells are relative to.
    pub fn with_origin(mut self, name: &str, folder: Option<&Path>) -> CellColumn {
        self.name = name.to_string();
        match &mut self.values {
            Values::Bytes(_, linked) => *linked = linked.take().map(|linked| linked.in_folder(folder)),
            Values::Files(files) => files.set_folder(folder),
            _ => {}
        }
        self
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Kind of every cell.
    pub fn kind(&self) -> CellKind {
        self.kind
    }

    /// The value of a row; `None` if it is null.
    ///
    /// # Errors
    /// [`DatasetError::Cell`] if a linked file is missing or outside the dataset's folder, or a list holds a null.
    pub fn get(&self, row: usize) -> Result<Option<Cell<'_>>> {
        if row >= self.len() {
            return Err(self.bad_cell(row, format!("the batch has {} rows", self.len())));
        }
        if self.rows.is_null(row) {
            return Ok(None);
        }
        match &self.values {
            Values::Bytes(Some(bytes), _) if bytes.is_valid(row) => Ok(Some(Cell::Bytes(bytes_at(bytes, row)))),
            Values::Bytes(_, Some(linked)) => {
                linked.get(row).map(|b| b.map(Cell::Bytes)).map_err(|reason| self.bad_cell(row, reason))
            }
            Values::Bytes(_, None) => Ok(None),
            Values::Utf8(texts) => Ok(Some(Cell::Utf8(text_at(texts, row)))),
            Values::I64(integers) => {
                integers.get(row).map(|value| Some(Cell::I64(value))).map_err(|reason| self.bad_cell(row, reason))
            }
            Values::F64(reals) => Ok(Some(Cell::F64(reals.value(row)))),
            Values::List(lists) => match lists.get(row) {
                Some(list) => Ok(Some(Cell::List(list))),
                None => Err(self.bad_cell(row, "its list holds a null".into())),
            },
            Values::Files(files) => {
                files.get(row).map(|files| Some(Cell::Files(files))).map_err(|reason| self.bad_cell(row, reason))
            }
        }
    }

    /// Bytes of the files that a row names, but does not hold.
    pub(crate) fn linked_bytes(&self, row: usize) -> u64 {
        match &self.values {
            Values::Bytes(bytes, Some(linked)) if bytes.as_ref().is_none_or(|bytes| bytes.is_null(row)) => {
                linked.size_bytes(row)
            }
            Values::Files(files) => files.linked_bytes(row),
            _ => 0,
        }
    }

    /// The paths that a row names instead of holding the bytes.
    pub(crate) fn links(&self, row: usize) -> impl Iterator<Item = &str> {
        let single = match &self.values {
            Values::Bytes(bytes, Some(linked)) if bytes.as_ref().is_none_or(|bytes| bytes.is_null(row)) => {
                linked.path(row)
            }
            _ => None,
        };
        let list = match &self.values {
            Values::Files(files) if self.rows.is_valid(row) => Some(files.links(row)),
            _ => None,
        };
        single.filter(|_| self.rows.is_valid(row)).into_iter().chain(list.into_iter().flatten())
    }

    fn bad_cell(&self, row: usize, reason: String) -> DatasetError {
        DatasetError::Cell { column: self.name.clone(), row, reason }
    }
}

fn bytes_at(values: &ArrayRef, row: usize) -> &[u8] {
    match values.data_type() {
        DataType::Binary => values.as_binary::<i32>().value(row),
        DataType::LargeBinary => values.as_binary::<i64>().value(row),
        DataType::BinaryView => values.as_binary_view().value(row),
        _ => values.as_fixed_size_binary().value(row),
    }
}

fn text_at(values: &ArrayRef, row: usize) -> &str {
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value(row),
        DataType::LargeUtf8 => values.as_string::<i64>().value(row),
        _ => values.as_string_view().value(row),
    }
}

/// Decodes dictionary encoding, which other writers use for strings.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Dictionary(_, values) => convert(array, values),
        _ => Ok(array.clone()),
    }
}

/// Splits media into bytes and paths. A struct has both, a string column only paths, a binary column only bytes.
fn bytes_and_paths(rows: &ArrayRef, feature: &Feature) -> Result<(Option<ArrayRef>, Option<LinkedFiles>)> {
    match rows.data_type() {
        DataType::Struct(_) => {
            let record = rows.as_struct();
            // Writers with paths only give the bytes the null type.
            let bytes = record.column_by_name("bytes").filter(|bytes| *bytes.data_type() != DataType::Null).cloned();
            if let Some(bytes) = &bytes {
                expect(bytes, is_binary(bytes.data_type()), "a record with binary `bytes`")?;
            }
            let paths = record.column_by_name("path").map(paths).transpose()?;
            if bytes.is_none() && paths.is_none() {
                return Err(wrong_type("a record with `bytes` or `path`", rows.data_type().to_string()));
            }
            Ok((bytes, paths))
        }
        data_type if is_text(data_type) && feature.is_media() => Ok((None, Some(paths(rows)?))),
        data_type => Ok((Some(expect(rows, is_binary(data_type), "bytes")?), None)),
    }
}

fn paths(array: &ArrayRef) -> Result<LinkedFiles> {
    let text = convert(array, &DataType::Utf8)?;
    let text: Arc<StringArray> = Arc::new(text.as_string::<i32>().clone());
    Ok(LinkedFiles::new(text))
}

/// Converts numbers to another width. If `lenient`, those that do not fit become null.
fn number(array: &ArrayRef, wanted: &DataType, lenient: bool) -> Result<ArrayRef> {
    let from = array.data_type();
    let fits = match wanted {
        DataType::Int64 => from.is_integer() || *from == DataType::Boolean,
        _ => from.is_floating(),
    };
    let array = expect(array, fits, &wanted.to_string())?;
    if !lenient || array.data_type() == wanted {
        return convert(&array, wanted);
    }
    cast_with_options(&array, wanted, &CastOptions::default())
        .map_err(|error| wrong_type(&wanted.to_string(), format!("{} ({error})", array.data_type())))
}

/// Converts without loss, or fails.
fn convert(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    if array.data_type() == wanted {
        return Ok(array.clone());
    }
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, wanted, &strict)
        .map_err(|error| wrong_type(&wanted.to_string(), format!("{} ({error})", array.data_type())))
}

fn expect(array: &ArrayRef, fits: bool, expected: &str) -> Result<ArrayRef> {
    if fits { Ok(array.clone()) } else { Err(wrong_type(expected, array.data_type().to_string())) }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

fn wrong_type(expected: &str, found: String) -> DatasetError {
    DatasetError::ColumnType { column: String::new(), expected: expected.to_string(), found }
}

#[cfg(test)]
mod tests;
