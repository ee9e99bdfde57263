//! The key of a row, for noise, failures and resumption.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{DatasetError, Result};
use crate::feature::Feature;
use crate::read::Dataset;
use crate::spelling::nfc;

/// The identity of a row, independent of batch, order, shard, machine and resumption.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// Value of the key column as text, or `#<row index>` if there is no key column or the value is null.
    pub text: String,
    /// First 8 bytes of blake3(text), little-endian: the key of the row's noise.
    pub hash: u64,
}

impl RowKey {
    /// The key with this text.
    pub fn new(text: impl Into<String>) -> RowKey {
        let text = text.into();
        let digest = blake3::hash(text.as_bytes());
        let hash = digest.as_bytes().iter().take(8).rev().fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        RowKey { text, hash }
    }
}

/// The column of row keys, unless another one is named.
pub const DEFAULT_KEY: &str = "id";

/// Keys of a batch, whose rows have these numbers in the dataset.
///
/// Without `key_column`, a column `id` of text or integers is used if there is one. Keys need not be unique: rows with
/// the same key get the same noise, and [`repeated_keys`] counts them.
///
/// # Errors
/// [`DatasetError::UnknownColumn`], or [`DatasetError::ColumnType`] for a key column of nested values.
pub fn row_keys(
    batch: &RecordBatch,
    key_column: Option<&str>,
    numbers: impl IntoIterator<Item = u64>,
) -> Result<Vec<RowKey>> {
    let column = match key_column {
        Some(name) => Some(named_column(batch, name)?),
        None => batch.column_by_name(DEFAULT_KEY).filter(|column| is_key(column.data_type())),
    };
    let text = column.map(texts).transpose()?;
    let key = |(row, number): (usize, u64)| {
        let value = text.as_ref().and_then(|text| text[row].clone());
        RowKey::new(value.unwrap_or_else(|| format!("#{number}")))
    };
    Ok((0..batch.num_rows()).zip(numbers).map(key).collect())
}

/// Checks that the key column of a dataset, by default `id` if there is one, holds keys. Otherwise rows would silently be
/// keyed by their number.
///
/// # Errors
/// [`DatasetError::UnknownColumn`], [`DatasetError::ColumnType`].
pub fn check_key(dataset: &Dataset, key_column: Option<&str>) -> Result<()> {
    let column = key_column.unwrap_or(DEFAULT_KEY);
    let found = match key_column {
        Some(name) => Some(dataset.column(name)?),
        None => dataset.features().get(column),
    };
    let index = dataset.schema().index_of(&nfc(column)).ok().filter(|_| found.is_some());
    let Some(data_type) = index.map(|index| dataset.schema().field(index).data_type()) else { return Ok(()) };
    if is_key(data_type) || *data_type == DataType::Null {
        return Ok(());
    }
    let expected = "text or integers, because it holds the keys of rows (or name another column with --key)";
    let found = found.map(Feature::describe).unwrap_or_default();
    Err(DatasetError::ColumnType { column: column.into(), expected: expected.into(), found })
}

fn named_column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    let column = batch.column_by_name(name).ok_or_else(|| {
        DatasetError::unknown_column(name, batch.schema().fields().iter().map(|field| field.name().clone()))
    })?;
    if is_key(column.data_type()) {
        return Ok(column);
    }
    let found = column.data_type().to_string();
    Err(DatasetError::ColumnType { column: name.to_string(), expected: "text or an integer".into(), found })
}

fn is_key(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_key(values),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => true,
        other => other.is_integer() || other.is_temporal(),
    }
}

/// The number of rows with the key of an earlier row. They get the same noise.
pub fn repeated_keys(keys: &[RowKey]) -> usize {
    let mut known = HashSet::with_capacity(keys.len());
    keys.iter().filter(|key| !known.insert(key.text.as_str())).count()
}

/// Every value as text, `None` for nulls.
pub(crate) fn texts(column: &ArrayRef) -> Result<Vec<Option<String>>> {
    let texts = Texts::new(column)?;
    (0..column.len()).map(|row| column.is_valid(row).then(|| texts.get(row)).transpose()).collect()
}

/// The values of a column as text. Times with a named zone are in UTC.
pub(crate) struct Texts {
    column: ArrayRef,
    /// The numbers of times that are outside of the calendar.
    raw: Option<ArrayRef>,
}

impl Texts {
    pub(crate) fn new(column: &ArrayRef) -> Result<Texts> {
        let shown = in_utc(column.data_type());
        let column = if shown == *column.data_type() { column.clone() } else { converted(column, &shown)? };
        let raw = column.data_type().is_temporal().then(|| cast(&column, &DataType::Int64).ok()).flatten();
        Ok(Texts { column, raw })
    }

    pub(crate) fn get(&self, row: usize) -> Result<String> {
        let options = FormatOptions::default();
        let text = |column: &ArrayRef| ArrayFormatter::try_new(column, &options)?.value(row).try_to_string();
        let found = text(&self.column).or_else(|error| match &self.raw {
            Some(raw) => text(raw),
            None => Err(error),
        });
        found.map_err(|error| unsuited(&self.column, error))
    }
}

/// The same type with UTC for any time zone: the instant is the same, and zone names would need a database.
pub(crate) fn in_utc(data_type: &DataType) -> DataType {
    let field = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(in_utc(field.data_type())));
    match data_type {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("+00:00".into())),
        DataType::Dictionary(_, values) => in_utc(values),
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}

fn converted(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    cast(column, data_type).map_err(|error| unsuited(column, error))
}

fn unsuited(column: &ArrayRef, error: ArrowError) -> DatasetError {
    let found = format!("{} ({error})", column.data_type());
    DatasetError::ColumnType { column: String::new(), expected: "values that can be written as text".into(), found }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn text(keys: Vec<RowKey>) -> Vec<String> {
        keys.into_iter().map(|key| key.text).collect()
    }

    #[test]
    fn the_named_column_then_id_then_the_row_index() {
        let id: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        let name: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let both = batch(vec![("id", id), ("name", name.clone())]);
        assert_eq!(text(row_keys(&both, Some("name"), 10..).unwrap()), ["a", "b"]);
        assert_eq!(text(row_keys(&both, None, 10..).unwrap()), ["7", "#11"]);
        assert_eq!(text(row_keys(&batch(vec![("name", name)]), None, 10..).unwrap()), ["#10", "#11"]);
        let error = row_keys(&both, Some("nam"), 0..).unwrap_err();
        assert!(error.to_string().contains("did you mean `name`"), "{error}");
    }

    #[test]
    fn nested_keys_are_refused_and_a_nested_id_is_ignored() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        let nested = batch(vec![("id", Arc::new(list))]);
        assert_eq!(text(row_keys(&nested, None, 3..).unwrap()), ["#3"]);
        assert!(matches!(row_keys(&nested, Some("id"), 0..), Err(DatasetError::ColumnType { .. })));
    }

    #[test]
    fn times_of_any_zone_are_keys() {
        for (zone, expected) in [("UTC", "1970-01-01T00:00:01Z"), ("Europe/Berlin", "1970-01-01T00:00:01Z")] {
            let times: ArrayRef =
                Arc::new(TimestampMicrosecondArray::from(vec![1_000_000, i64::MAX]).with_timezone(zone));
            let keys = text(row_keys(&batch(vec![("when", times)]), Some("when"), 0..).unwrap());
            assert_eq!(keys, [expected, "9223372036854775807"]);
        }
    }

    #[test]
    fn repeated_keys_are_counted() {
        let keys = ["a", "b", "a", "a", "c"].map(RowKey::new);
        assert_eq!((repeated_keys(&keys), repeated_keys(&keys[..2]), repeated_keys(&[])), (2, 0, 0));
    }

    #[test]
    fn the_hash_is_the_start_of_blake3() {
        let digest = blake3::hash(b"#0");
        let first: [u8; 8] = digest.as_bytes()[..8].try_into().unwrap();
        assert_eq!(RowKey::new("#0").hash, u64::from_le_bytes(first));
    }
}
