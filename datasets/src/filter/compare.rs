//! Compares the values of a column with a value of a condition.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Datum, Decimal128Array, Float64Array, Int64Array, RecordBatch, Scalar, StringArray,
};
use arrow::compute::cast;
use arrow::compute::kernels::cmp;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::{Literal, Operator};
use crate::error::{DatasetError, Result};
use crate::feature::Feature;
use crate::key::in_utc;
use crate::read::Dataset;
use crate::spelling::nfc;

/// Why a column and a value cannot be compared.
pub(super) enum Uncomparable {
    /// The value is of another kind than the column.
    Kind(DatasetError),
    Arrow(ArrowError),
}

impl From<ArrowError> for Uncomparable {
    fn from(error: ArrowError) -> Self {
        Uncomparable::Arrow(error)
    }
}

impl From<DatasetError> for Uncomparable {
    fn from(error: DatasetError) -> Self {
        Uncomparable::Kind(error)
    }
}

impl Uncomparable {
    pub(super) fn in_column(self, column: &str) -> Self {
        match self {
            Uncomparable::Kind(error) => Uncomparable::Kind(error.in_column(column)),
            other => other,
        }
    }
}

/// A column of a batch.
pub(super) fn column_of<'b>(dataset: &Dataset, rows: &'b RecordBatch, column: &str) -> Result<&'b ArrayRef> {
    dataset.column(column)?;
    rows.column_by_name(&nfc(column)).ok_or_else(|| {
        DatasetError::unknown_column(column, rows.schema().fields().iter().map(|field| field.name().clone()))
    })
}

/// True, false or null for each row.
pub(super) fn mask(
    column: &ArrayRef,
    feature: &Feature,
    operator: Operator,
    value: &Literal,
) -> Result<BooleanArray, Uncomparable> {
    let Sides { column, value } = sides(column, feature, value)?;
    let value = Scalar::new(value);
    let (column, value): (&dyn Datum, &dyn Datum) = (&column, &value);
    Ok(match operator {
        Operator::Equal => cmp::eq(column, value)?,
        Operator::Different => cmp::neq(column, value)?,
        Operator::Less => cmp::lt(column, value)?,
        Operator::AtMost => cmp::lt_eq(column, value)?,
        Operator::Greater => cmp::gt(column, value)?,
        Operator::AtLeast => cmp::gt_eq(column, value)?,
    })
}

/// A column and a value of one type.
struct Sides {
    column: ArrayRef,
    /// A single row.
    value: ArrayRef,
}

/// Digits of the largest integers of both signs.
const INTEGER: DataType = DataType::Decimal128(20, 0);

fn sides(column: &ArrayRef, feature: &Feature, value: &Literal) -> Result<Sides, Uncomparable> {
    if let DataType::Dictionary(_, values) = column.data_type() {
        return sides(&cast(column, values)?, feature, value);
    }
    let to = |data_type: &DataType, value: ArrayRef| -> Result<Sides, Uncomparable> {
        Ok(Sides { column: cast(column, data_type)?, value: cast(&value, data_type)? })
    };
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    match (column.data_type(), value) {
        // A column without values: no comparison is true.
        (DataType::Null, _) => to(&DataType::Utf8, text("")),
        (data_type, Literal::Text(name)) if data_type.is_integer() => {
            to(&DataType::Int64, Arc::new(Int64Array::from(vec![class(feature, name)?])))
        }
        (DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View, Literal::Text(value)) => {
            to(&DataType::Utf8, text(value))
        }
        (DataType::Boolean, Literal::Flag(flag)) => to(&DataType::Boolean, Arc::new(BooleanArray::from(vec![*flag]))),
        (data_type, Literal::Number(number)) if data_type.is_integer() => match number.parse::<i128>() {
            Ok(whole) if whole.unsigned_abs() < 10u128.pow(20) => {
                let value = Decimal128Array::from(vec![whole]).with_precision_and_scale(20, 0)?;
                to(&INTEGER, Arc::new(value))
            }
            _ => to(&DataType::Float64, real(number)),
        },
        // A short float equals the value that is written as it is printed.
        (data_type @ (DataType::Float16 | DataType::Float32), Literal::Number(number)) => to(data_type, real(number)),
        (DataType::Float64, Literal::Number(number)) => to(&DataType::Float64, real(number)),
        (data_type, Literal::Number(number)) if data_type.is_decimal() => to(&DataType::Float64, real(number)),
        (data_type, Literal::Text(value)) if data_type.is_temporal() => {
            let kind = in_utc(data_type);
            let time = cast(&text(value), &kind).ok().filter(|time| time.is_valid(0));
            let time = time.ok_or_else(|| wrong(feature, &format!("a time such as '2026-01-31', not '{value}'")))?;
            to(&kind, time)
        }
        (_, value) => Err(wrong(feature, &format!("a column that can be compared with {}", kind_of(value)))),
    }
}

fn real(number: &str) -> ArrayRef {
    Arc::new(Float64Array::from(vec![number.parse::<f64>().ok()]))
}

/// The number of a class.
fn class(feature: &Feature, name: &str) -> Result<i64, Uncomparable> {
    let Feature::ClassLabel { names } = feature else {
        return Err(wrong(feature, "text, or a label with names of classes, to be compared with text"));
    };
    let place = names.iter().position(|known| known == name);
    place.map(|place| place as i64).ok_or_else(|| wrong(feature, &format!("a label with a class `{name}`")))
}

fn kind_of(value: &Literal) -> &'static str {
    match value {
        Literal::Number(_) => "a number",
        Literal::Text(_) => "text",
        Literal::Flag(_) => "`true` and `false`",
    }
}

fn wrong(feature: &Feature, expected: &str) -> Uncomparable {
    let found = feature.describe();
    Uncomparable::Kind(DatasetError::ColumnType { column: String::new(), expected: expected.into(), found })
}
