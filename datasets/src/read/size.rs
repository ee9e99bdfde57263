//! Sizes of column values in bytes.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{ByteArrayType, DataType};

/// Bytes of all columns of a batch. Shared buffers of a slice count for its own rows only.
pub(super) fn batch_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(array_bytes).sum()
}

/// Bytes of one column.
pub(super) fn array_bytes(array: &ArrayRef) -> u64 {
    let rows = array.len() as u64;
    match array.data_type() {
        DataType::Utf8 => variable(array.as_string::<i32>()),
        DataType::LargeUtf8 => variable(array.as_string::<i64>()),
        DataType::Binary => variable(array.as_binary::<i32>()),
        DataType::LargeBinary => variable(array.as_binary::<i64>()),
        DataType::Utf8View => viewed(array.as_string_view().lengths()) + rows * 16,
        DataType::BinaryView => viewed(array.as_binary_view().lengths()) + rows * 16,
        DataType::Struct(_) => array.as_struct().columns().iter().map(array_bytes).sum(),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            items(list.values(), offsets[0] as usize, offsets[array.len()] as usize) + rows * 4
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            items(list.values(), offsets[0] as usize, offsets[array.len()] as usize) + rows * 8
        }
        DataType::Map(..) => {
            let offsets = array.as_map().value_offsets();
            let entries: ArrayRef = std::sync::Arc::new(array.as_map().entries().clone());
            items(&entries, offsets[0] as usize, offsets[array.len()] as usize) + rows * 4
        }
        DataType::FixedSizeList(..) => array_bytes(array.as_fixed_size_list().values()),
        other => rows * fixed_bytes(other),
    }
}

/// Bytes per row of a type that do not depend on the values. A null of fixed size takes as much as a value.
pub(super) fn fixed_bytes(data_type: &DataType) -> u64 {
    match data_type {
        DataType::Null => 0,
        DataType::Boolean => 1,
        DataType::FixedSizeBinary(size) => u64::try_from(*size).unwrap_or(0),
        DataType::FixedSizeList(item, size) => {
            fixed_bytes(item.data_type()).max(1).saturating_mul(u64::try_from(*size).unwrap_or(0))
        }
        DataType::Struct(fields) => {
            fields.iter().map(|field| fixed_bytes(field.data_type())).fold(0, u64::saturating_add)
        }
        DataType::Dictionary(keys, _) => fixed_bytes(keys),
        other => other.primitive_width().unwrap_or(16) as u64,
    }
}

fn variable<T: ByteArrayType>(array: &arrow::array::GenericByteArray<T>) -> u64 {
    use arrow::datatypes::ArrowNativeType;
    let offsets = array.value_offsets();
    let place = |at: usize| offsets.get(at).map_or(0, |offset| offset.as_usize()) as u64;
    place(array.len()) - place(0) + array.len() as u64 * size_of::<T::Offset>() as u64
}

fn viewed(lengths: impl Iterator<Item = u32>) -> u64 {
    lengths.map(u64::from).sum()
}

fn items(values: &ArrayRef, from: usize, to: usize) -> u64 {
    array_bytes(&values.slice(from, to - from))
}
