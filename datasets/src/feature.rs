//! The *meaning* of a column: the Hugging Face feature next to the Arrow type.
//!
//! A Parquet file says that a column is `struct<bytes, path>`; the schema metadata key `huggingface` says that it is an
//! image. Both are read and written here, so that files travel between Anyflow, `datasets` and pyarrow unchanged.

mod dtype;
mod json;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema};
use indexmap::IndexMap;

pub use dtype::dtype_from_arrow;
use dtype::{arrow_from_dtype, kind_from_dtype};

use crate::list::MAX_DEPTH;
use crate::spelling::nfc;

/// Key of the Arrow schema metadata that holds the features, as JSON `{"info": {"features": {...}}}`.
pub const METADATA_KEY: &str = "huggingface";

/// The meaning of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Feature {
    /// A plain value. The string is the type's name in `datasets`: `string`, `int64`, `float32`, `binary` ...
    Value(String),
    /// A class, stored as int64: the index of its name, or -1 for "unknown".
    ClassLabel {
        /// Names by index; may be empty if the file has none.
        names: Vec<String>,
    },
    /// An encoded image: `struct<bytes: binary, path: string>`.
    Image,
    /// An encoded sound: `struct<bytes: binary, path: string>`.
    Audio {
        /// Samples per second, if one rate holds for the whole column.
        sampling_rate: Option<u32>,
    },
    /// An encoded video: `struct<bytes: binary, path: string>`.
    Video,
    /// Any number of one feature.
    List(Box<Feature>),
    /// Any other feature, kept verbatim: fixed-length lists, arrays, translations, nested records.
    Other(serde_json::Value),
}

/// Physical kind of a single value, as codecs get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CellKind {
    /// Encoded media and binary columns.
    Bytes,
    /// Strings.
    Utf8,
    /// Integers of any width, booleans and class labels.
    I64,
    /// Floats of any width.
    F64,
    /// Numbers in nested lists of this many levels.
    List(u32),
    /// Lists of encoded media or of binary values.
    Files,
}

impl Feature {
    /// The cell kind of a value; `None` for features without single values (records, times, lists of lists of files).
    pub fn cell(&self) -> Option<CellKind> {
        match self {
            Feature::Value(dtype) => kind_from_dtype(dtype),
            Feature::ClassLabel { .. } => Some(CellKind::I64),
            Feature::Image | Feature::Audio { .. } | Feature::Video => Some(CellKind::Bytes),
            Feature::List(item) => list_of(item),
            Feature::Other(_) => match self.item() {
                Some(item) => list_of(&item),
                None => self.is_record_of_bytes().then_some(CellKind::Bytes),
            },
        }
    }

    /// The feature of a list's items; `None` for other features.
    pub(crate) fn item(&self) -> Option<Feature> {
        match self {
            Feature::List(item) => Some(item.as_ref().clone()),
            Feature::Other(value) => json::list_item(value),
            _ => None,
        }
    }

    /// Reads what a codec declares of its cells: `Image`, `Value(string)`, `List(Value(float32))`, or with a fixed length
    /// `List(Value(float32), 384)`; `None` for other texts.
    pub fn declared(text: &str) -> Option<Feature> {
        let call = text.split_once('(').and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?)));
        match (text, call) {
            (_, Some(("Value", dtype))) => Some(Feature::Value(dtype.into())),
            (_, Some(("List", item))) => match item.rsplit_once(", ").map(|(item, length)| (item, length.parse())) {
                Some((item, Ok(length))) => Some(json::fixed_list(&Feature::declared(item)?, length)),
                _ => Some(Feature::List(Box::new(Feature::declared(item)?))),
            },
            ("Image", _) => Some(Feature::Image),
            ("Audio", _) => Some(Feature::Audio { sampling_rate: None }),
            ("Video", _) => Some(Feature::Video),
            _ => None,
        }
    }

    /// What texts are where files of the feature `files` are wanted: their paths. `None` if one of both is something else.
    fn of_paths(&self, files: &Feature) -> Option<Feature> {
        match (self.item(), files) {
            (Some(item), Feature::List(files)) => Some(Feature::List(Box::new(item.of_paths(files)?))),
            _ => (self.cell() == Some(CellKind::Utf8) && files.is_media()).then(|| files.clone()),
        }
    }

    /// The Arrow type in which this crate writes the feature, or `None` for an [`Feature::Other`] it does not know.
    pub fn arrow_type(&self) -> Option<DataType> {
        match self {
            Feature::Value(dtype) => arrow_from_dtype(dtype),
            Feature::ClassLabel { .. } => Some(DataType::Int64),
            Feature::Image | Feature::Audio { .. } | Feature::Video => Some(media_type()),
            Feature::List(inner) => Some(DataType::List(element(inner.arrow_type()?))),
            Feature::Other(value) => json::arrow_from_other(value),
        }
    }

    /// True for images, audio and video: files in a cell.
    pub fn is_media(&self) -> bool {
        matches!(self, Feature::Image | Feature::Audio { .. } | Feature::Video)
    }

    /// True for features whose cells are files, stored or named by a path: media, and records of `bytes` and `path`, whose
    /// writer stated no feature.
    pub(crate) fn is_file(&self) -> bool {
        self.is_media() || matches!(self, Feature::Other(value) if json::is_record_of_a_file(value))
    }

    /// The most specific feature for a column with a known Arrow type and no metadata.
    pub fn from_arrow(data_type: &DataType) -> Feature {
        match data_type {
            DataType::List(item) | DataType::LargeList(item) => {
                Feature::List(Box::new(Self::from_arrow(item.data_type())))
            }
            DataType::Dictionary(_, values) => Self::from_arrow(values),
            DataType::FixedSizeList(..) | DataType::Struct(_) => Feature::Other(json::other_from_arrow(data_type)),
            other => Feature::Value(dtype_from_arrow(other)),
        }
    }

    /// One word for tables and messages: `image`, `class label`, `list of int16`.
    pub fn describe(&self) -> String {
        match self {
            Feature::Value(dtype) => dtype.clone(),
            Feature::ClassLabel { names } => format!("class label ({})", names.len()),
            Feature::Image => "image".into(),
            Feature::Audio { sampling_rate: Some(hz) } => format!("audio ({hz} Hz)"),
            Feature::Audio { sampling_rate: None } => "audio".into(),
            Feature::Video => "video".into(),
            Feature::List(inner) => format!("list of {}", inner.describe()),
            Feature::Other(value) => json::describe_other(value),
        }
    }

    fn is_record_of_bytes(&self) -> bool {
        match self {
            Feature::Other(value) => json::record_field_is_bytes(value),
            _ => false,
        }
    }
}

/// Features of all columns, in column order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features(pub IndexMap<String, Feature>);

impl Features {
    /// Reads the metadata of a schema. Columns that it omits or contradicts get the feature of their Arrow type.
    pub fn from_schema(schema: &Schema) -> Features {
        Features::of(schema, Features::stated(schema))
    }

    /// The features that the metadata of a schema states and its types do not contradict, by composed name.
    pub(crate) fn stated(schema: &Schema) -> IndexMap<String, Feature> {
        let mut stated = json::features_from_metadata(schema.metadata());
        let feature = |field: &Arc<Field>| {
            let feature = stated.swap_remove(field.name())?;
            agrees(&feature, field.data_type()).then(|| (nfc(field.name()), feature))
        };
        schema.fields().iter().filter_map(feature).collect()
    }

    /// The features of a schema's columns: as stated, else that of the Arrow type.
    pub(crate) fn of(schema: &Schema, mut stated: IndexMap<String, Feature>) -> Features {
        let feature = |field: &Arc<Field>| {
            let stated = stated.swap_remove(&nfc(field.name())).filter(|feature| agrees(feature, field.data_type()));
            (field.name().clone(), stated.unwrap_or_else(|| Feature::from_arrow(field.data_type())))
        };
        Features(schema.fields().iter().map(feature).collect())
    }

    /// Declares that texts in a column, and in lists of it, are paths of files of the feature `files`. Changes nothing if
    /// the column holds something else.
    pub(crate) fn name_files(&mut self, column: &str, files: &Feature) {
        if let Some(feature) = self.0.get_mut(&nfc(column))
            && let Some(named) = feature.of_paths(files)
        {
            *feature = named;
        }
    }

    /// The JSON for the metadata key [`METADATA_KEY`].
    pub fn to_metadata(&self) -> String {
        json::metadata_from_features(&self.0)
    }

    /// An Arrow schema for these features, with metadata; `None` if a feature has no Arrow type.
    pub fn to_schema(&self) -> Option<Schema> {
        let field = |(name, feature): (&String, &Feature)| Some(Field::new(name, feature.arrow_type()?, true));
        let fields: Option<Vec<Field>> = self.0.iter().map(field).collect();
        let metadata = HashMap::from([(METADATA_KEY.to_string(), self.to_metadata())]);
        Some(Schema::new_with_metadata(fields?, metadata))
    }

    /// The same schema with metadata that states these features for exactly its columns. Other metadata is kept.
    /// Columns without a feature get the one of their Arrow type.
    pub fn stamp(&self, schema: &Schema) -> Schema {
        let feature = |field: &Arc<Field>| {
            let known = self.get(field.name()).cloned();
            (field.name().clone(), known.unwrap_or_else(|| Feature::from_arrow(field.data_type())))
        };
        let features: Features = schema.fields().iter().map(feature).collect();
        let mut metadata = schema.metadata().clone();
        metadata.insert(METADATA_KEY.to_string(), features.to_metadata());
        Schema::new_with_metadata(schema.fields().clone(), metadata)
    }
}

impl Deref for Features {
    type Target = IndexMap<String, Feature>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromIterator<(String, Feature)> for Features {
    fn from_iter<I: IntoIterator<Item = (String, Feature)>>(items: I) -> Self {
        Features(items.into_iter().collect())
    }
}

/// `struct<bytes: binary, path: string>`: a file in a cell.
pub(crate) fn media_type() -> DataType {
    DataType::Struct(media_fields())
}

pub(crate) fn media_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

fn element(data_type: DataType) -> Arc<Field> {
    Arc::new(Field::new("element", data_type, true))
}

/// The cell kind of a list of `item`.
fn list_of(item: &Feature) -> Option<CellKind> {
    match item.cell()? {
        CellKind::I64 | CellKind::F64 => Some(CellKind::List(1)),
        CellKind::List(depth) if depth < MAX_DEPTH => Some(CellKind::List(depth + 1)),
        CellKind::Bytes => Some(CellKind::Files),
        _ => None,
    }
}

/// True if the feature can describe the type. Metadata may be older than a change of the column.
fn agrees(feature: &Feature, data_type: &DataType) -> bool {
    use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Struct, Utf8, Utf8View};
    match feature {
        Feature::Image | Feature::Audio { .. } | Feature::Video => {
            matches!(data_type, Struct(_) | Binary | LargeBinary | BinaryView | Utf8 | LargeUtf8 | Utf8View)
        }
        Feature::ClassLabel { .. } => data_type.is_integer(),
        Feature::Value(dtype) => match (kind_from_dtype(dtype), Feature::from_arrow(data_type).cell()) {
            (None, _) => !data_type.is_nested(),
            (stated, found) => stated == found && !matches!(data_type, Struct(_)),
        },
        Feature::List(inner) => match data_type {
            DataType::List(item) | DataType::LargeList(item) => agrees(inner, item.data_type()),
            _ => false,
        },
        Feature::Other(_) => true,
    }
}

#[cfg(test)]
mod tests;
