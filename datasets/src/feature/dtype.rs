//! Plain type names of `datasets` <-> Arrow types.

use arrow::datatypes::{DataType, TimeUnit};

use super::CellKind;

/// Canonical names that have exactly one Arrow type.
const PLAIN: &[(&str, DataType)] = &[
    ("null", DataType::Null),
    ("bool", DataType::Boolean),
    ("int8", DataType::Int8),
    ("int16", DataType::Int16),
    ("int32", DataType::Int32),
    ("int64", DataType::Int64),
    ("uint8", DataType::UInt8),
    ("uint16", DataType::UInt16),
    ("uint32", DataType::UInt32),
    ("uint64", DataType::UInt64),
    ("float16", DataType::Float16),
    ("float32", DataType::Float32),
    ("float64", DataType::Float64),
    ("string", DataType::Utf8),
    ("large_string", DataType::LargeUtf8),
    ("string_view", DataType::Utf8View),
    ("binary", DataType::Binary),
    ("large_binary", DataType::LargeBinary),
    ("binary_view", DataType::BinaryView),
    ("date32", DataType::Date32),
    ("date64", DataType::Date64),
];

const UNITS: &[(&str, TimeUnit)] = &[
    ("s", TimeUnit::Second),
    ("ms", TimeUnit::Millisecond),
    ("us", TimeUnit::Microsecond),
    ("ns", TimeUnit::Nanosecond),
];

/// The Arrow type of a `datasets` type name.
pub(super) fn arrow_from_dtype(dtype: &str) -> Option<DataType> {
    let canonical = match dtype {
        "double" => "float64",
        "float" => "float32",
        "utf8" => "string",
        other => other,
    };
    if let Some((_, data_type)) = PLAIN.iter().find(|(name, _)| *name == canonical) {
        return Some(data_type.clone());
    }
    let (name, arguments) = canonical.strip_suffix([']', ')'])?.split_once(['[', '('])?;
    let mut arguments = arguments.split(',').map(str::trim);
    let first = arguments.next()?;
    let second = arguments.next();
    match name {
        "timestamp" => {
            let zone = second.and_then(|text| text.strip_prefix("tz="));
            Some(DataType::Timestamp(unit(first)?, zone.map(Into::into)))
        }
        "duration" => Some(DataType::Duration(unit(first)?)),
        "time32" => Some(DataType::Time32(unit(first)?)),
        "time64" => Some(DataType::Time64(unit(first)?)),
        "decimal128" => Some(DataType::Decimal128(first.parse().ok()?, second?.parse().ok()?)),
        "decimal256" => Some(DataType::Decimal256(first.parse().ok()?, second?.parse().ok()?)),
        _ => None,
    }
}

/// The `datasets` name of a plain Arrow type. Nested types get Arrow's name.
pub fn dtype_from_arrow(data_type: &DataType) -> String {
    if let Some((name, _)) = PLAIN.iter().find(|(_, plain)| plain == data_type) {
        return (*name).to_string();
    }
    match data_type {
        DataType::Timestamp(unit, None) => format!("timestamp[{}]", unit_name(unit)),
        DataType::Timestamp(unit, Some(zone)) => format!("timestamp[{}, tz={zone}]", unit_name(unit)),
        DataType::Duration(unit) => format!("duration[{}]", unit_name(unit)),
        DataType::Time32(unit) => format!("time32[{}]", unit_name(unit)),
        DataType::Time64(unit) => format!("time64[{}]", unit_name(unit)),
        DataType::Decimal128(precision, scale) => format!("decimal128({precision}, {scale})"),
        DataType::Decimal256(precision, scale) => format!("decimal256({precision}, {scale})"),
        DataType::FixedSizeBinary(_) => "binary".into(),
        other => other.to_string(),
    }
}

/// The cell kind of a plain value.
pub(super) fn kind_from_dtype(dtype: &str) -> Option<CellKind> {
    use DataType::*;
    match arrow_from_dtype(dtype)? {
        Utf8 | LargeUtf8 | Utf8View => Some(CellKind::Utf8),
        Binary | LargeBinary | BinaryView => Some(CellKind::Bytes),
        Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => Some(CellKind::I64),
        Float16 | Float32 | Float64 => Some(CellKind::F64),
        _ => None,
    }
}

fn unit(name: &str) -> Option<TimeUnit> {
    UNITS.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit)
}

fn unit_name(unit: &TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}
