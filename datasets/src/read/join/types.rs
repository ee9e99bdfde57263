//! The Arrow types that hold the values of two others, and the conversion to them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, LargeListArray, ListArray, StructArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use arrow::error::ArrowError;

/// The type that holds every value of both, the first where both do; `None` if there is none.
pub(super) fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Dictionary, FixedSizeList, LargeList, List, Null, Struct};
    match (a, b) {
        _ if a == b => Some(a.clone()),
        (Null, other) | (other, Null) => Some(other.clone()),
        (Dictionary(keys, values), Dictionary(other_keys, others)) if is_text(values) && is_text(others) => {
            let values = common(values, others)?;
            Some(Dictionary(Box::new(common(keys, other_keys)?), Box::new(values)))
        }
        (Dictionary(_, values), other) | (other, Dictionary(_, values)) => common(values, other),
        _ if is_text(a) && is_text(b) => Some(a.clone()),
        _ if is_binary(a) && is_binary(b) => Some(a.clone()),
        (DataType::FixedSizeBinary(_), other) | (other, DataType::FixedSizeBinary(_)) => {
            (is_binary(other) || matches!(other, DataType::FixedSizeBinary(_))).then_some(DataType::Binary)
        }
        _ if a.is_integer() && b.is_integer() => integer(a, b),
        _ if a.is_floating() && b.is_floating() => wider(a, b),
        (List(one), List(other) | LargeList(other)) => Some(List(item(one, other)?)),
        (LargeList(one), List(other) | LargeList(other)) => Some(LargeList(item(one, other)?)),
        (FixedSizeList(one, size), FixedSizeList(other, length)) if size == length => {
            Some(FixedSizeList(item(one, other)?, *size))
        }
        (Struct(fields), Struct(others)) => Some(Struct(record(fields, others)?)),
        _ => a.equals_datatype(b).then(|| a.clone()),
    }
}

fn item(a: &FieldRef, b: &FieldRef) -> Option<FieldRef> {
    let nullable = a.is_nullable() || b.is_nullable();
    Some(Arc::new(Field::new(a.name(), common(a.data_type(), b.data_type())?, nullable)))
}

/// The fields of two records, by name.
fn record(fields: &Fields, others: &Fields) -> Option<Fields> {
    let other = |field: &FieldRef| others.iter().find(|other| other.name() == field.name());
    let joined: Option<Fields> = fields.iter().map(|field| item(field, other(field)?)).collect();
    joined.filter(|joined| joined.len() == others.len())
}

/// The narrowest integer that holds both.
fn integer(a: &DataType, b: &DataType) -> Option<DataType> {
    if a.is_signed_integer() == b.is_signed_integer() {
        return wider(a, b);
    }
    let (signed, unsigned) = if a.is_signed_integer() { (a, b) } else { (b, a) };
    let holds_unsigned = match unsigned {
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        _ => return None,
    };
    wider(signed, &holds_unsigned)
}

fn wider(a: &DataType, b: &DataType) -> Option<DataType> {
    Some(if a.primitive_width()? >= b.primitive_width()? { a.clone() } else { b.clone() })
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// The values of `array` in the type that [`common`] found for it.
///
/// # Errors
/// A value does not fit: a batch of texts of 2 GiB or more.
pub(in crate::read) fn widened(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    use DataType::{FixedSizeList, LargeList, List, Null, Struct};
    match (array.data_type(), wanted) {
        (found, _) if found == wanted => Ok(array.clone()),
        (Null, _) => Ok(new_null_array(wanted, array.len())),
        (Struct(_), Struct(fields)) => {
            let record = array.as_struct();
            let column = |field: &FieldRef| {
                let lost = || ArrowError::SchemaError(format!("there is no field `{}`", field.name()));
                widened(record.column_by_name(field.name()).ok_or_else(lost)?, field.data_type())
            };
            let columns = fields.iter().map(column).collect::<Result<Vec<_>, _>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, record.nulls().cloned())?))
        }
        (List(_), List(item)) => {
            let list = array.as_list::<i32>();
            let values = widened(list.values(), item.data_type())?;
            Ok(Arc::new(ListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?))
        }
        (LargeList(_), LargeList(item)) => {
            let list = array.as_list::<i64>();
            let values = widened(list.values(), item.data_type())?;
            Ok(Arc::new(LargeListArray::try_new(item.clone(), list.offsets().clone(), values, list.nulls().cloned())?))
        }
        (FixedSizeList(..), FixedSizeList(item, size)) => {
            let list = array.as_fixed_size_list();
            let values = widened(list.values(), item.data_type())?;
            Ok(Arc::new(FixedSizeListArray::try_new(item.clone(), *size, values, list.nulls().cloned())?))
        }
        (List(item), LargeList(_)) => widened(&strict(array, &LargeList(item.clone()))?, wanted),
        (LargeList(item), List(_)) => widened(&strict(array, &List(item.clone()))?, wanted),
        _ => strict(array, wanted),
    }
}

fn strict(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, wanted, &CastOptions { safe: false, ..CastOptions::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_type_holds_both_and_is_the_first_where_it_can_be() {
        use DataType::*;
        let words = |keys: DataType| Dictionary(Box::new(keys), Box::new(Utf8));
        let joins = [
            (Null, Utf8, Some(Utf8)),
            (Int64, Null, Some(Int64)),
            (Utf8, LargeUtf8, Some(Utf8)),
            (Utf8View, Utf8, Some(Utf8View)),
            (words(Int8), Utf8, Some(Utf8)),
            (Utf8, words(Int8), Some(Utf8)),
            (words(Int8), words(Int32), Some(words(Int32))),
            (Dictionary(Box::new(Int8), Box::new(Int16)), Int64, Some(Int64)),
            (Dictionary(Box::new(Int8), Box::new(Int64)), Dictionary(Box::new(Int32), Box::new(Int64)), Some(Int64)),
            (Int8, Int64, Some(Int64)),
            (UInt8, Int8, Some(Int16)),
            (UInt32, Int8, Some(Int64)),
            (UInt8, UInt64, Some(UInt64)),
            (Float32, Float64, Some(Float64)),
            (LargeBinary, Binary, Some(LargeBinary)),
            (FixedSizeBinary(2), FixedSizeBinary(3), Some(Binary)),
            // No integer holds both.
            (UInt64, Int64, None),
            (Int64, Float64, None),
            (Boolean, Int8, None),
            (Utf8, Int64, None),
            (Utf8, Binary, None),
            (Date32, Date64, None),
            (Decimal128(10, 2), Decimal128(12, 2), None),
        ];
        for (a, b, wanted) in joins {
            assert_eq!(common(&a, &b), wanted, "{a} and {b}");
        }
    }
}
