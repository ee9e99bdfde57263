//! The first rows as readable JSON.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, UInt64Type};
use serde_json::{Map, Value, json};

use crate::cell::{Cell, CellColumn};
use crate::error::Result;
use crate::feature::{CellKind, Feature};
use crate::key::Texts;
use crate::media::Media;
use crate::read::{Bound, Dataset};

/// The most elements of a list that are shown.
const SHOWN_ELEMENTS: usize = 8;
/// Few rows at once, because cells can be large videos.
const BOUND: Bound = Bound::rows(16);

/// The first `rows` rows, one object each, columns in order.
///
/// Media become `{"media_type": "image/png", "width_px": 28, ..., "size_bytes": 301}`, other bytes
/// `{"size_bytes": 5, "hex": "00ff..."}`, class labels `{"class": 7, "name": "7"}`; long lists are cut with a count.
///
/// # Errors
/// Errors of [`Dataset::read`]. An unreadable value is shown as its error.
pub fn head(dataset: &Dataset, rows: u64) -> Result<Vec<Map<String, Value>>> {
    let mut shown = Vec::new();
    for batch in dataset.read(None, 0..rows, BOUND)? {
        let batch = batch?;
        for row in 0..batch.rows.num_rows() {
            let unreadable = batch.unreadable.iter().find(|bad| bad.row == row).map(|bad| failed(&bad.reason));
            let cell = |((name, feature), column): ((&String, &Feature), &ArrayRef)| {
                (name.clone(), unreadable.clone().unwrap_or_else(|| value(dataset, name, column, feature, row)))
            };
            shown.push(dataset.features().iter().zip(batch.rows.columns()).map(cell).collect());
        }
    }
    Ok(shown)
}

/// A value as JSON, or the reason why it cannot be shown.
fn value(dataset: &Dataset, name: &str, column: &ArrayRef, feature: &Feature, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    if matches!(feature.cell(), None | Some(CellKind::List(_) | CellKind::Files)) {
        return nested(dataset, name, column, feature, row);
    }
    let cells = CellColumn::new(&column.slice(row, 1), feature).map(|cells| cells.with_origin(name, dataset.folder()));
    let cells = cells.map_err(|error| error.in_column(name));
    match cells.as_ref().map_err(ToString::to_string).and_then(|cells| cells.get(0).map_err(|error| error.to_string()))
    {
        Ok(None) => Value::Null,
        Ok(Some(Cell::Utf8(text))) => text.into(),
        Ok(Some(Cell::I64(value))) => match feature {
            Feature::ClassLabel { names } => class(value, names),
            _ => value.into(),
        },
        Ok(Some(Cell::F64(value))) => number(value, feature),
        Ok(Some(Cell::Bytes(bytes))) => encoded(bytes),
        Ok(Some(Cell::List(list))) => format!("{list:?}").into(),
        Ok(Some(Cell::Files(files))) => files.iter().map(|file| encoded(file)).collect(),
        Err(_) if *column.data_type() == DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        Err(reason) => failed(&reason),
    }
}

fn failed(reason: &str) -> Value {
    json!({"error": reason})
}

fn nested(dataset: &Dataset, name: &str, column: &ArrayRef, feature: &Feature, row: usize) -> Value {
    let items = match column.data_type() {
        DataType::List(_) => column.as_list::<i32>().value(row),
        DataType::LargeList(_) => column.as_list::<i64>().value(row),
        DataType::FixedSizeList(..) => column.as_fixed_size_list().value(row),
        _ => return text(column, row),
    };
    let inferred = Feature::from_arrow(items.data_type());
    let inner = if let Feature::List(inner) = feature { inner } else { &inferred };
    let shown = (0..items.len().min(SHOWN_ELEMENTS)).map(|item| value(dataset, name, &items, inner, item));
    let mut shown: Vec<Value> = shown.collect();
    if items.len() > SHOWN_ELEMENTS {
        shown.push(format!("... {} in all", items.len()).into());
    }
    shown.into()
}

fn text(column: &ArrayRef, row: usize) -> Value {
    let text = Texts::new(&column.slice(row, 1)).and_then(|texts| texts.get(0));
    text.map_or_else(|error| failed(&error.to_string()), Value::from)
}

fn class(value: i64, names: &[String]) -> Value {
    match usize::try_from(value).ok().and_then(|index| names.get(index)) {
        Some(name) => json!({"class": value, "name": name}),
        None => value.into(),
    }
}

/// A number as JSON. JSON has no NaN and no infinities.
fn number(value: f64, feature: &Feature) -> Value {
    let is_short = matches!(feature, Feature::Value(dtype) if dtype == "float32" || dtype == "float16");
    let value = if is_short { shortest(value as f32) } else { value };
    if value.is_finite() { value.into() } else { value.to_string().into() }
}

/// An f32 with the fewest digits that identify it: 0.1, not 0.10000000149.
pub(super) fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn encoded(bytes: &[u8]) -> Value {
    let size = Value::from(bytes.len());
    match Media::from_bytes(bytes).and_then(|media| serde_json::to_value(media).ok()) {
        Some(Value::Object(mut object)) => {
            object.insert("size_bytes".into(), size);
            Value::Object(object)
        }
        _ => {
            let shown: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            let more = if bytes.len() > 16 { "..." } else { "" };
            json!({"size_bytes": size, "hex": format!("{shown}{more}")})
        }
    }
}
