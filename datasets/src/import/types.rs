//! Types of columns that the user sets.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use indexmap::IndexMap;

use super::refusal;
use crate::error::{DatasetError, Result};

/// The types of some columns of a text table, set by the user instead of inferred from the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnTypes(IndexMap<String, ColumnType>);

/// The type of a column of a text table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text, each value as it is written.
    Text,
    /// 64-bit integers.
    Int,
    /// 64-bit floats.
    Float,
    /// `true` or `false`.
    Bool,
}

impl ColumnTypes {
    /// True if no type is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the type of this column is set.
    pub(super) fn sets(&self, column: &str) -> bool {
        self.0.contains_key(column)
    }

    /// The schema with the types that are set.
    pub(super) fn apply(&self, file: &Path, schema: &Schema) -> Result<Schema> {
        let name = |field: &Arc<Field>| field.name().clone();
        if let Some(unknown) = self.0.keys().find(|column| schema.column_with_name(column).is_none()) {
            let mut error = DatasetError::unknown_column(unknown, schema.fields().iter().map(name));
            if let DatasetError::UnknownColumn { dataset, .. } = &mut error {
                *dataset = Some(file.to_path_buf());
            }
            return Err(error);
        }
        let field = |field: &Arc<Field>| match self.0.get(field.name()) {
            Some(set) => Arc::new(Field::new(field.name(), set.arrow(), true)),
            None => field.clone(),
        };
        Ok(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
    }

    /// Refuses types for a source without a text table.
    pub(super) fn refuse(&self, source: &Path) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        Err(refusal(
            source,
            "has no text table; types are set for the columns of .jsonl, .csv, .tsv and metadata files",
        ))
    }
}

impl FromIterator<(String, ColumnType)> for ColumnTypes {
    fn from_iter<I: IntoIterator<Item = (String, ColumnType)>>(items: I) -> Self {
        ColumnTypes(items.into_iter().collect())
    }
}

impl ColumnType {
    fn arrow(self) -> DataType {
        match self {
            ColumnType::Text => DataType::Utf8,
            ColumnType::Int => DataType::Int64,
            ColumnType::Float => DataType::Float64,
            ColumnType::Bool => DataType::Boolean,
        }
    }
}

impl FromStr for ColumnType {
    type Err = String;

    fn from_str(word: &str) -> Result<ColumnType, String> {
        match word {
            "text" | "string" => Ok(ColumnType::Text),
            "int" | "int64" => Ok(ColumnType::Int),
            "float" | "float64" => Ok(ColumnType::Float),
            "bool" => Ok(ColumnType::Bool),
            other => Err(format!("`{other}` is not a type; use text, int, float or bool")),
        }
    }
}
