//! The name of a row: what noise, failures and resumption are keyed by.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::{DatasetError, Result};

/// Identity of a row, the same in any batch, order, shard, machine or resumption.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// Value of the key column as text, or `#<row index>` without one (and where it is null).
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

/// Keys of a batch whose first row is row `first_row` of the dataset.
///
/// Without `key_column`, a column `id` of text or integers is used if there is one. Uniqueness is the dataset's business:
/// two rows of one key get the same noise.
///
/// # Errors
/// [`DatasetError::UnknownColumn`], or [`DatasetError::ColumnType`] for a key column of nested values.
pub fn row_keys(batch: &RecordBatch, key_column: Option<&str>, first_row: u64) -> Result<Vec<RowKey>> {
    let column = match key_column {
        Some(name) => Some(named_column(batch, name)?),
        None => batch.column_by_name("id").filter(|column| is_key(column.data_type())),
    };
    let text = column.map(texts).transpose()?;
    let key = |row: usize| {
        let value = text.as_ref().and_then(|text| text[row].clone());
        RowKey::new(value.unwrap_or_else(|| format!("#{}", first_row + row as u64)))
    };
    Ok((0..batch.num_rows()).map(key).collect())
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

/// Every value as text, `None` for nulls.
pub(crate) fn texts(column: &ArrayRef) -> Result<Vec<Option<String>>> {
    let options = FormatOptions::default();
    let internal = |error| DatasetError::internal("reading row keys", error);
    let format = ArrayFormatter::try_new(column, &options).map_err(internal)?;
    let text = |row| column.is_valid(row).then(|| format.value(row).try_to_string()).transpose();
    (0..column.len()).map(text).collect::<Result<_, _>>().map_err(internal)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StringArray};
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
        assert_eq!(text(row_keys(&both, Some("name"), 10).unwrap()), ["a", "b"]);
        assert_eq!(text(row_keys(&both, None, 10).unwrap()), ["7", "#11"]);
        assert_eq!(text(row_keys(&batch(vec![("name", name)]), None, 10).unwrap()), ["#10", "#11"]);
        let error = row_keys(&both, Some("nam"), 0).unwrap_err();
        assert!(error.to_string().contains("did you mean `name`"), "{error}");
    }

    #[test]
    fn nested_keys_are_refused_and_a_nested_id_is_ignored() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        let nested = batch(vec![("id", Arc::new(list))]);
        assert_eq!(text(row_keys(&nested, None, 3).unwrap()), ["#3"]);
        assert!(matches!(row_keys(&nested, Some("id"), 0), Err(DatasetError::ColumnType { .. })));
    }

    #[test]
    fn the_hash_is_the_start_of_blake3() {
        let digest = blake3::hash(b"#0");
        let first: [u8; 8] = digest.as_bytes()[..8].try_into().unwrap();
        assert_eq!(RowKey::new("#0").hash, u64::from_le_bytes(first));
    }
}
