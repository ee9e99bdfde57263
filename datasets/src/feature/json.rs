//! Features as `datasets` writes them into the schema metadata.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::dtype::dtype_from_arrow;
use super::{Feature, METADATA_KEY, element};

/// The longest metadata that is read; parsed, it needs many times the memory.
const MAX_TEXT_BYTES: usize = 8 << 20;

/// Reads `{"info": {"features": {...}}}`. Missing or unreadable metadata gives no features.
pub(super) fn features_from_metadata(metadata: &HashMap<String, String>) -> IndexMap<String, Feature> {
    let text = metadata.get(METADATA_KEY).map(String::as_str).unwrap_or("null");
    let text = if text.len() > MAX_TEXT_BYTES { "null" } else { text };
    let root: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let stated = root.pointer("/info/features").and_then(Value::as_object).cloned().unwrap_or_default();
    stated.into_iter().map(|(name, value)| (name, feature_from_json(value))).collect()
}

/// The text for the metadata key.
pub(super) fn metadata_from_features(features: &IndexMap<String, Feature>) -> String {
    let features: Map<String, Value> = features.iter().map(|(k, v)| (k.clone(), json_from_feature(v))).collect();
    json!({"info": {"features": features}}).to_string()
}

fn feature_from_json(value: Value) -> Feature {
    // Old files write a list as a JSON array with one element.
    if let Value::Array(items) = &value {
        return match items.as_slice() {
            [inner] => Feature::List(Box::new(feature_from_json(inner.clone()))),
            _ => Feature::Other(value),
        };
    }
    match value.get("_type").and_then(Value::as_str) {
        Some("Value") => match value.get("dtype").and_then(Value::as_str) {
            Some(dtype) => Feature::Value(dtype.to_string()),
            None => Feature::Other(value),
        },
        Some("ClassLabel") => Feature::ClassLabel { names: class_names(&value) },
        Some("Image") => Feature::Image,
        Some("Audio") => Feature::Audio { sampling_rate: sampling_rate(&value) },
        Some("Video") => Feature::Video,
        Some("Sequence" | "List") if is_plain_list(&value) => {
            Feature::List(Box::new(feature_from_json(value["feature"].clone())))
        }
        _ => Feature::Other(value),
    }
}

fn json_from_feature(feature: &Feature) -> Value {
    match feature {
        Feature::Value(dtype) => json!({"dtype": dtype, "_type": "Value"}),
        Feature::ClassLabel { names } => json!({"names": names, "_type": "ClassLabel"}),
        Feature::Image => json!({"_type": "Image"}),
        Feature::Audio { sampling_rate: Some(hz) } => json!({"sampling_rate": hz, "_type": "Audio"}),
        Feature::Audio { sampling_rate: None } => json!({"_type": "Audio"}),
        Feature::Video => json!({"_type": "Video"}),
        // "Sequence" is read by every release of `datasets`, "List" only since 4.0.
        Feature::List(inner) => json!({"feature": json_from_feature(inner), "length": -1, "_type": "Sequence"}),
        Feature::Other(value) => value.clone(),
    }
}

/// A list of this length.
pub(super) fn fixed_list(item: &Feature, length: u32) -> Feature {
    Feature::Other(json!({"feature": json_from_feature(item), "length": length, "_type": "Sequence"}))
}

/// True for a list of any length. A sequence of a record is a record of lists in `datasets`, so it stays
/// [`Feature::Other`].
fn is_plain_list(value: &Value) -> bool {
    let any_length = value.get("length").and_then(Value::as_i64).is_none_or(|length| length < 0);
    any_length && value.get("feature").is_some_and(|inner| inner.is_array() || inner.get("_type").is_some())
}

fn class_names(value: &Value) -> Vec<String> {
    if let Some(names) = value.get("names").and_then(Value::as_array) {
        return names.iter().map(|name| name.as_str().map_or_else(|| name.to_string(), str::to_string)).collect();
    }
    let count = value.get("num_classes").and_then(Value::as_u64).unwrap_or(0);
    (0..count).map(|index| index.to_string()).collect()
}

fn sampling_rate(value: &Value) -> Option<u32> {
    value.get("sampling_rate").and_then(Value::as_u64).and_then(|hz| u32::try_from(hz).ok())
}

/// The Arrow type of other features with plain storage.
pub(super) fn arrow_from_other(value: &Value) -> Option<DataType> {
    let object = value.as_object()?;
    match object.get("_type").and_then(Value::as_str) {
        Some("Sequence" | "List") => {
            let length = i32::try_from(object.get("length")?.as_i64()?).ok()?;
            let inner = feature_from_json(object.get("feature")?.clone()).arrow_type()?;
            Some(DataType::FixedSizeList(element(inner), length))
        }
        Some("LargeList") => {
            Some(DataType::LargeList(element(feature_from_json(object.get("feature")?.clone()).arrow_type()?)))
        }
        Some(_) => None,
        None => {
            let field = |(name, value): (&String, &Value)| {
                Some(Field::new(name, feature_from_json(value.clone()).arrow_type()?, true))
            };
            Some(DataType::Struct(object.iter().map(field).collect::<Option<Vec<_>>>()?.into()))
        }
    }
}

/// The item feature of a list of fixed length or with 64-bit offsets.
pub(super) fn list_item(value: &Value) -> Option<Feature> {
    match value.get("_type").and_then(Value::as_str) {
        Some("Sequence" | "List" | "LargeList") => Some(feature_from_json(value.get("feature")?.clone())),
        _ => None,
    }
}

/// The feature that `datasets` itself infers for a nested Arrow type without metadata.
pub(super) fn other_from_arrow(data_type: &DataType) -> Value {
    match data_type {
        DataType::Struct(fields) => {
            let names_files = fields.len() == 2 && fields.find("path").is_some();
            let entry = |field: &std::sync::Arc<Field>| {
                let is_bytes = names_files && field.name() == "bytes" && *field.data_type() == DataType::Null;
                // Files that are only named are read and embedded.
                let data_type = if is_bytes { &DataType::Binary } else { field.data_type() };
                (field.name().clone(), other_from_arrow(data_type))
            };
            Value::Object(fields.iter().map(entry).collect())
        }
        DataType::FixedSizeList(item, length) => {
            json!({"feature": other_from_arrow(item.data_type()), "length": length, "_type": "Sequence"})
        }
        DataType::List(item) | DataType::LargeList(item) => {
            json!({"feature": other_from_arrow(item.data_type()), "length": -1, "_type": "Sequence"})
        }
        other => json!({"dtype": dtype_from_arrow(other), "_type": "Value"}),
    }
}

/// True for a record with a binary field `bytes`: media of a file that lost its metadata.
pub(super) fn record_field_is_bytes(value: &Value) -> bool {
    let dtype = value.get("bytes").and_then(|field| field.get("dtype")).and_then(Value::as_str);
    value.get("_type").is_none() && dtype.is_some_and(|dtype| dtype.contains("binary"))
}

/// True for a record of `bytes` and `path` alone.
pub(super) fn is_record_of_a_file(value: &Value) -> bool {
    let dtype = |name: &str| value.get(name)?.get("dtype")?.as_str();
    let is_record = value.as_object().is_some_and(|fields| fields.len() == 2) && value.get("_type").is_none();
    let bytes = dtype("bytes").is_some_and(|dtype| dtype.contains("binary"));
    is_record && bytes && dtype("path").is_some_and(|dtype| dtype.contains("string"))
}

pub(super) fn describe_other(value: &Value) -> String {
    match value.get("_type").and_then(Value::as_str) {
        Some("Sequence" | "List") => {
            let inner = feature_from_json(value["feature"].clone()).describe();
            format!("list of {} {inner}", value["length"])
        }
        Some(name) => name.to_string(),
        None => {
            let names: Vec<&str> = value.as_object().into_iter().flat_map(|o| o.keys().map(String::as_str)).collect();
            format!("record of {}", names.join(", "))
        }
    }
}
