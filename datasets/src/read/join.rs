//! Joins the columns of several files by name.
//!
//! The files of one dataset often differ in ways that change no value: the order of columns, the width of integers, a
//! column without values. Everything else is refused with the difference.

mod types;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use indexmap::IndexMap;
use parquet::basic::Type as PhysicalType;

pub(super) use types::widened;

use super::part::{Part, Place};
use super::paths::FolderColumn;
use crate::error::{DatasetError, Result};
use crate::feature::{Feature, Features};
use crate::spelling::nfc;

/// The common columns of several files.
pub(super) struct Joined {
    pub(super) schema: SchemaRef,
    pub(super) features: Features,
    /// For each file, the place of each column.
    pub(super) places: Vec<Arc<[Place]>>,
}

/// A column of one file.
#[derive(Clone)]
struct Column {
    data_type: DataType,
    nullable: bool,
    /// The feature that the metadata states.
    stated: Option<Feature>,
    /// True if the type is not that of every file.
    is_widened: bool,
    place: Place,
}

type Columns = IndexMap<String, Column>;

/// Joins the columns of all files. The first file sets their order, and the type where no wider one is needed.
///
/// A file without rows has no say, unless no file has rows.
pub(super) fn join(parts: &[Part]) -> Result<Joined> {
    let texts = folder_texts(parts);
    let columns: Vec<Columns> = parts.iter().map(|part| columns(part, &texts)).collect();
    let has_rows = |index: &usize| parts[*index].rows > 0;
    let filled: Vec<usize> = (0..parts.len()).filter(has_rows).collect();
    let chosen = if filled.is_empty() { (0..parts.len()).collect() } else { filled };
    let Some((first, rest)) = chosen.split_first() else {
        return Err(DatasetError::internal("opening a dataset", "no files"));
    };
    let mut common = columns[*first].clone();
    for other in rest {
        add(&mut common, &columns[*other]).map_err(|difference| DatasetError::SchemaMismatch {
            first: parts[*first].source.path.clone(),
            path: parts[*other].source.path.clone(),
            difference,
        })?;
    }
    let place = |columns: &Columns, name: &String| columns.get(name).map_or(Place::Nowhere, |c| c.place.clone());
    let places = columns.iter().map(|columns| common.keys().map(|name| place(columns, name)).collect()).collect();
    let fields = common.iter().map(|(name, column)| Field::new(name, column.data_type.clone(), column.nullable));
    let metadata = parts[*first].metadata.schema().metadata().clone();
    let schema = Schema::new_with_metadata(fields.collect::<Vec<_>>(), metadata);
    let outdated = |column: &Column| column.is_widened && column.stated.as_ref().is_some_and(names_a_type);
    let stated = common.into_iter().filter(|(_, column)| !outdated(column));
    let stated = stated.filter_map(|(name, column)| Some((name, column.stated?)));
    let features = Features::of(&schema, stated.collect());
    Ok(Joined { schema: Arc::new(schema), features, places })
}

/// The columns of a file: its own, then those that its folders name. `texts` are the latter that are not numbers.
fn columns(part: &Part, texts: &BTreeSet<&str>) -> Columns {
    let schema = part.metadata.schema();
    let mut stated = Features::stated(schema);
    let own = schema.fields().iter().enumerate().map(|(index, field)| {
        let name = nfc(field.name());
        let stated = stated.swap_remove(&name);
        let nullable = field.is_nullable();
        let data_type = plain_type(part, index, field);
        let is_widened = data_type != *field.data_type();
        (name, Column { data_type, nullable, stated, is_widened, place: Place::File(index) })
    });
    let mut columns: Columns = own.collect();
    for FolderColumn { name, value } in &part.folders {
        let data_type = if texts.contains(name.as_str()) { DataType::Utf8 } else { DataType::Int64 };
        let place = Place::Folder(value.clone());
        // The values in the file count more than the folder's name.
        columns.entry(nfc(name)).or_insert(Column {
            data_type,
            nullable: true,
            stated: None,
            is_widened: false,
            place,
        });
    }
    columns
}

/// The type of a column, in a form that every reader of Parquet knows after it is written again: dates that are stored as
/// days are days, also if the writer had milliseconds in memory.
fn plain_type(part: &Part, index: usize, field: &Field) -> DataType {
    let schema = part.metadata.parquet_schema();
    let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == index);
    let stores_days = leaf.is_some_and(|leaf| schema.column(leaf).physical_type() == PhysicalType::INT32);
    if *field.data_type() == DataType::Date64 && stores_days { DataType::Date32 } else { field.data_type().clone() }
}

/// The columns of folders with a value that an integer would not give back.
fn folder_texts(parts: &[Part]) -> BTreeSet<&str> {
    let columns = || parts.iter().flat_map(|part| &part.folders);
    let is_integer = |text: &String| text.parse::<i64>().is_ok_and(|number| number.to_string() == *text);
    let words = columns().filter(|column| column.value.as_ref().is_some_and(|value| !is_integer(value)));
    words.map(|column| column.name.as_str()).collect()
}

/// Widens `common` so that it holds the columns of another file; the error is the difference.
fn add(common: &mut Columns, other: &Columns) -> Result<(), String> {
    if common.len() != other.len() || common.keys().any(|name| !other.contains_key(name)) {
        let names = |columns: &Columns| columns.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(format!("columns {} against {}", names(common), names(other)));
    }
    for (name, column) in common {
        let theirs = &other[name];
        let difference = |a: String, b: String| format!("column `{name}` is {a} against {b}");
        let joined = types::common(&column.data_type, &theirs.data_type)
            .ok_or_else(|| difference(column.data_type.to_string(), theirs.data_type.to_string()))?;
        column.is_widened |= joined != column.data_type || joined != theirs.data_type;
        column.data_type = joined;
        column.nullable |= theirs.nullable;
        column.stated = match (column.stated.take(), &theirs.stated) {
            (Some(ours), Some(theirs)) => {
                let joined = common_feature(&ours, theirs);
                Some(joined.ok_or_else(|| difference(ours.describe(), theirs.describe()))?)
            }
            (ours, theirs) => ours.or_else(|| theirs.clone()),
        };
    }
    Ok(())
}

/// The feature of two columns together; `None` if they mean different things.
fn common_feature(a: &Feature, b: &Feature) -> Option<Feature> {
    match (a, b) {
        (Feature::Audio { .. }, Feature::Audio { .. }) if a != b => Some(Feature::Audio { sampling_rate: None }),
        (Feature::ClassLabel { names }, Feature::ClassLabel { .. }) if names.is_empty() => Some(b.clone()),
        (Feature::ClassLabel { .. }, Feature::ClassLabel { names }) if names.is_empty() => Some(a.clone()),
        (Feature::List(a), Feature::List(b)) => Some(Feature::List(Box::new(common_feature(a, b)?))),
        // The Arrow types were joined already; a null column states nothing.
        (Feature::Value(name), _) if name == "null" => Some(b.clone()),
        (_, Feature::Value(name)) if name == "null" => Some(a.clone()),
        (Feature::Value(one), Feature::Value(other)) if one != other => {
            let joined = types::common(&a.arrow_type()?, &b.arrow_type()?)?;
            Some(Feature::from_arrow(&joined))
        }
        _ => (a == b).then(|| a.clone()),
    }
}

/// True for a feature that is the name of an Arrow type.
fn names_a_type(feature: &Feature) -> bool {
    match feature {
        Feature::Value(_) | Feature::Other(_) => true,
        Feature::List(item) => names_a_type(item),
        _ => false,
    }
}
