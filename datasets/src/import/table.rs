//! JSON lines and CSV.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use indexmap::IndexMap;

use super::dialect::Separator;
use super::exact::{Fractions, first_changed};
use super::json::{BadLine, Flaw, text_columns};
use super::lines::Lines;
use super::quotes::Quotes;
use super::types::ColumnTypes;
use super::{Imported, open_text, refusal};
use crate::error::{DatasetError, Result};
use crate::feature::Features;
use crate::spelling::nfc;
use crate::width;
use crate::write::TableWriter;

const BATCH_ROWS: usize = 1024;
/// The most cells of a batch. The readers reserve room for all cells, so wide tables are read in fewer rows at a time.
const BATCH_CELLS: usize = 1 << 20;

/// A byte that no text has, for tables without quoted fields.
const NO_QUOTE: u8 = 0;

/// Kind of text table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    JsonLines,
    Csv,
}

/// Batches of a text table; errors name the file.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>>>;

/// A text table whose types are known.
pub(super) struct Table {
    pub(super) schema: SchemaRef,
    pub(super) batches: Batches,
    /// What the user should know about separator and types.
    pub(super) notes: Vec<String>,
}

/// A text table before its types are known.
struct Lined<'a> {
    file: &'a Path,
    format: Format,
    separator: Separator,
    quotes: Quotes,
}

/// Writes the table unchanged. Each column gets a type that fits all rows.
pub(super) fn import(file: &Path, format: Format, types: &ColumnTypes, out: &Path) -> Result<Imported> {
    let Table { schema, batches, notes } = read(file, format, types, BATCH_ROWS)?;
    let features = Features::from_schema(&schema);
    let mut writer = TableWriter::create(out, &schema, &features)?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    Ok(Imported { rows: writer.finish()?.rows, features, left_out: Vec::new(), notes, is_damaged: false })
}

/// Reads the file for its types, again for values that these types would change, and opens it for its rows.
pub(super) fn read(file: &Path, format: Format, types: &ColumnTypes, batch_rows: usize) -> Result<Table> {
    let separator = Separator::of(file)?;
    let quotes = match format {
        Format::JsonLines => Quotes::default(),
        Format::Csv => Quotes::of(file, lines(file)?, separator.byte)?,
    };
    let table = Lined { file, format, separator, quotes };
    let schema = table.infer()?;
    check_names(file, &schema)?;
    let mut texts = match format {
        Format::JsonLines => table.json_texts(&schema)?,
        Format::Csv => table.csv_texts(&schema)?,
    };
    texts.retain(|column, _| !types.sets(column));
    let schema = Arc::new(types.apply(file, &with_texts(&schema, |column| texts.contains_key(column)))?);
    let mut notes = Vec::new();
    if let Some(name) = separator.unexpected.filter(|_| format == Format::Csv) {
        notes.push(format!("the columns are separated by {name}"));
    }
    notes.extend(table.quotes.note());
    notes.extend(texts.iter().map(|(column, value)| {
        format!(
            "column {column} stays text: another type would change the value {value:?} (--types {column}=TYPE sets one)"
        )
    }));
    let batches = table.open(&schema, batch_rows)?;
    Ok(Table { schema, batches, notes })
}

/// Refuses no columns, too many, and two of one name.
fn check_names(file: &Path, schema: &Schema) -> Result<()> {
    if schema.fields().is_empty() {
        return Err(refusal(file, "has no columns; the file needs at least one row"));
    }
    width::check(file, schema, 1)?;
    let mut known = BTreeSet::new();
    match schema.fields().iter().find(|field| !known.insert(nfc(field.name()))) {
        Some(field) => {
            let column = field.name().clone();
            Err(DatasetError::RepeatedColumn { path: file.to_path_buf(), line: Some(1), column })
        }
        None => Ok(()),
    }
}

fn lines(file: &Path) -> Result<Lines<Box<dyn Read>>> {
    open_text(file).map(Lines::new)
}

impl Lined<'_> {
    fn infer(&self) -> Result<Schema> {
        let mut reader = BufReader::new(lines(self.file)?);
        let inferred = match self.format {
            Format::JsonLines => arrow::json::reader::infer_json_schema(&mut reader, None),
            Format::Csv => self.dialect().infer_schema(&mut reader, None),
        };
        inferred.map(|(schema, _)| schema).map_err(|error| explain(self.file, self.format, error))
    }

    fn open(&self, schema: &SchemaRef, batch_rows: usize) -> Result<Batches> {
        let path = self.file.to_path_buf();
        let format = self.format;
        let reader = BufReader::new(lines(self.file)?);
        let columns = usize::try_from(width::columns(schema)).unwrap_or(usize::MAX);
        let batch_rows = batch_rows.min(BATCH_CELLS / columns.max(1)).max(1);
        let named = move |batch: Result<RecordBatch, ArrowError>| batch.map_err(|error| explain(&path, format, error));
        let failed = |error| explain(self.file, format, error);
        Ok(match format {
            Format::JsonLines => {
                // A column of numbers and texts becomes text.
                let builder = arrow::json::ReaderBuilder::new(schema.clone()).with_coerce_primitive(true);
                Box::new(builder.with_batch_size(batch_rows).build(reader).map_err(failed)?.map(named))
            }
            Format::Csv => {
                let builder = arrow::csv::ReaderBuilder::new(schema.clone()).with_format(self.dialect());
                Box::new(builder.with_batch_size(batch_rows).build(reader).map_err(failed)?.map(named))
            }
        })
    }

    fn dialect(&self) -> arrow::csv::reader::Format {
        let dialect = arrow::csv::reader::Format::default().with_header(true).with_delimiter(self.separator.byte);
        if self.quotes.are_text() { dialect.with_quote(NO_QUOTE) } else { dialect }
    }

    /// Columns of a CSV file with values that the inferred types would change, and the first such value.
    fn csv_texts(&self, schema: &Schema) -> Result<IndexMap<String, String>> {
        let texts = Arc::new(with_texts(schema, |_| true));
        let mut changed = IndexMap::new();
        let mut fractions: IndexMap<&String, Fractions> = IndexMap::new();
        for batch in self.open(&texts, BATCH_ROWS)? {
            for (field, column) in schema.fields().iter().zip(batch?.columns()) {
                if !changed.contains_key(field.name())
                    && let Some(value) = first_changed(column, field.data_type())
                {
                    changed.insert(field.name().clone(), value);
                }
                if *field.data_type() == DataType::Float64 {
                    fractions.entry(field.name()).or_default().add(column);
                }
            }
        }
        for (name, value) in fractions.into_iter().filter_map(|(name, found)| Some((name, found.first_name()?))) {
            changed.entry(name.clone()).or_insert(value);
        }
        Ok(changed)
    }

    /// Columns of JSON lines with numbers that would be rounded, and the first such number.
    fn json_texts(&self, schema: &Schema) -> Result<IndexMap<String, String>> {
        text_columns(lines(self.file)?, schema).map_err(|BadLine { line, flaw }| {
            let path = self.file.to_path_buf();
            let line = Some(line);
            match flaw {
                Flaw::Repeated(column) => DatasetError::RepeatedColumn { path, line, column },
                Flaw::Rounded(number) => {
                    let reason =
                        format!("the number {number} would be rounded; write it in quotation marks to keep its digits");
                    DatasetError::Import { path, line, reason }
                }
            }
        })
    }
}

fn with_texts(schema: &Schema, is_text: impl Fn(&str) -> bool) -> Schema {
    let field = |field: &Arc<Field>| {
        let text = || Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8).with_nullable(true));
        if is_text(field.name()) { text() } else { field.clone() }
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

/// Adds the line to an error. Arrow's JSON reader does not report it, so the file is scanned again.
fn explain(file: &Path, format: Format, error: ArrowError) -> DatasetError {
    let bad = if format == Format::JsonLines { first_bad_line(file) } else { None };
    let (line, reason) = match bad {
        Some((line, reason)) => (Some(line), reason),
        None => (None, error.to_string()),
    };
    DatasetError::Import {
        path: file.to_path_buf(),
        line,
        reason: format!("{reason}; correct the file and import it again"),
    }
}

fn first_bad_line(file: &Path) -> Option<(u64, String)> {
    let reader = Lines::new(open_text(file).ok()?);
    for (line, text) in (1..).zip(BufReader::new(reader).lines()) {
        let text = match text {
            Ok(text) => text,
            Err(error) => return Some((line, error.to_string())),
        };
        if text.trim().is_empty() {
            continue;
        }
        if text.trim_start().starts_with('[') {
            let reason = "starts a JSON array; write one object per line (pandas: `orient=\"records\", lines=True`)";
            return Some((line, reason.into()));
        }
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(value) if value.is_object() => {}
            Ok(_) => return Some((line, "is not a JSON object".into())),
            Err(error) if ["NaN", "Infinity"].iter().any(|word| text.contains(word)) => {
                return Some((line, format!("{error} (JSON has no NaN and no Infinity; write null)")));
            }
            Err(error) => return Some((line, error.to_string())),
        }
    }
    None
}
