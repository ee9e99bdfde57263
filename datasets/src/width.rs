//! The most columns of a file, with those inside records and lists, each of which a Parquet writer holds buffers for.

use std::path::Path;

use arrow::datatypes::{DataType, FieldRef, Schema};

use crate::error::{DatasetError, Result};
use crate::memory::memory;

/// Memory that the Parquet writer reserves per column: a dictionary, a page, and the state of the compressor.
const COLUMN_BYTES: u64 = 256 << 10;
/// So many columns are written with little memory too: they fit into a gigabyte.
const FEW: u64 = 1 << 12;

/// The most columns that this process writes at a time.
pub(crate) fn most() -> u64 {
    (memory() / COLUMN_BYTES).max(FEW)
}

/// The number of columns, with those inside records and lists.
pub(crate) fn columns(schema: &Schema) -> u64 {
    schema.fields().iter().map(leaves).sum()
}

fn leaves(field: &FieldRef) -> u64 {
    match field.data_type() {
        DataType::Struct(fields) => fields.iter().map(leaves).sum(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => leaves(item),
        _ => 1,
    }
}

/// Refuses more columns than this process can write to `files` files at a time, the first of which is at `path`.
///
/// # Errors
/// [`DatasetError::TooWide`].
pub(crate) fn check(path: &Path, schema: &Schema, files: u64) -> Result<()> {
    let columns = columns(schema);
    let most = most() / files.max(1);
    if columns <= most {
        return Ok(());
    }
    Err(DatasetError::TooWide { path: path.to_path_buf(), columns, most })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Field;

    use super::*;

    fn record(columns: usize) -> DataType {
        let fields = (0..columns).map(|index| Field::new(format!("k{index}"), DataType::Int64, true));
        DataType::Struct(fields.collect())
    }

    #[test]
    fn columns_inside_records_and_lists_count() {
        let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
        for (data_type, count) in [
            (DataType::Utf8, 1),
            (record(3), 3),
            (list(record(3)), 3),
            (list(list(DataType::Int8)), 1),
            (DataType::Map(Arc::new(Field::new("entries", record(2), false)), false), 2),
        ] {
            assert_eq!(columns(&Schema::new(vec![Field::new("a", data_type, true)])), count);
        }
    }

    #[test]
    fn files_that_are_written_together_share_the_memory() {
        let schema = |columns: u64| Schema::new(vec![Field::new("a", record(columns as usize), true)]);
        let path = Path::new("a.parquet");
        assert!(check(path, &schema(most()), 1).is_ok());
        assert!(check(path, &schema(most() / 2 + 1), 1).is_ok());
        let error = check(path, &schema(most() / 2 + 1), 2).unwrap_err();
        assert_eq!((error.fault().exit_code(), error.code()), (2, "data.too-wide"));
        assert!(error.to_string().contains(&format!("has {} columns", most() / 2 + 1)), "{error}");
    }
}
