//! JSON lines and CSV.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::exact::come_back;
use super::json::{BadLine, Flaw, text_columns};
use super::lines::Lines;
use super::{Imported, bare_name, open, refusal};
use crate::error::{DatasetError, Result};
use crate::feature::Features;
use crate::write::TableWriter;

const BATCH_ROWS: usize = 1024;
/// The most cells of a batch. The readers reserve room for all cells, so wide tables are read in fewer rows at a time.
const BATCH_CELLS: usize = 1 << 20;
/// The most columns. The Parquet writer reserves more than 100 kB per column, so this many fit into a gigabyte.
const MAX_COLUMNS: usize = 1 << 12;

/// Kind of text table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    JsonLines,
    Csv,
}

/// Batches of a text table; errors name the file.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>>>;

/// Writes the table unchanged. Each column gets a type that fits all rows.
pub(super) fn import(file: &Path, format: Format, out: &Path) -> Result<Imported> {
    let (schema, batches) = read(file, format, BATCH_ROWS)?;
    let features = Features::from_schema(&schema);
    let mut writer = TableWriter::create(out, &schema, &features)?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    Ok(Imported { rows: writer.finish()?.rows, features, left_out: Vec::new() })
}

/// Reads the file for its types, again for values that these types would change, and opens it for its rows.
pub(super) fn read(file: &Path, format: Format, batch_rows: usize) -> Result<(SchemaRef, Batches)> {
    let schema = infer(file, format)?;
    if schema.fields().is_empty() {
        return Err(refusal(file, "has no columns; the file needs at least one row"));
    }
    let columns = schema.fields().len();
    if columns > MAX_COLUMNS {
        return Err(refusal(
            file,
            format!("has {columns} columns; the most is {MAX_COLUMNS}; write it as Parquet instead"),
        ));
    }
    let mut known = BTreeSet::new();
    if let Some(field) = schema.fields().iter().find(|field| !known.insert(field.name())) {
        let column = field.name().clone();
        return Err(DatasetError::RepeatedColumn { path: file.to_path_buf(), line: Some(1), column });
    }
    let texts = match format {
        Format::JsonLines => json_texts(file, &schema)?,
        Format::Csv => csv_texts(file, &schema)?,
    };
    let schema = Arc::new(with_texts(&schema, &texts));
    let batches = open_table(file, format, &schema, batch_rows)?;
    Ok((schema, batches))
}

fn open_table(file: &Path, format: Format, schema: &SchemaRef, batch_rows: usize) -> Result<Batches> {
    let path = file.to_path_buf();
    let reader = BufReader::new(Lines::new(open(file)?));
    let batch_rows = batch_rows.min(BATCH_CELLS / schema.fields().len().max(1)).max(1);
    let named = move |batch: Result<RecordBatch, ArrowError>| batch.map_err(|error| explain(&path, format, error));
    let failed = |error| explain(file, format, error);
    Ok(match format {
        Format::JsonLines => {
            // A column of numbers and texts becomes text.
            let builder = arrow::json::ReaderBuilder::new(schema.clone()).with_coerce_primitive(true);
            Box::new(builder.with_batch_size(batch_rows).build(reader).map_err(failed)?.map(named))
        }
        Format::Csv => {
            let builder = arrow::csv::ReaderBuilder::new(schema.clone()).with_format(dialect(file));
            Box::new(builder.with_batch_size(batch_rows).build(reader).map_err(failed)?.map(named))
        }
    })
}

fn infer(file: &Path, format: Format) -> Result<Schema> {
    let mut reader = BufReader::new(Lines::new(open(file)?));
    let inferred = match format {
        Format::JsonLines => arrow::json::reader::infer_json_schema(&mut reader, None),
        Format::Csv => dialect(file).infer_schema(&mut reader, None),
    };
    inferred.map(|(schema, _)| schema).map_err(|error| explain(file, format, error))
}

/// Columns of a CSV file with values that the inferred types would change.
fn csv_texts(file: &Path, schema: &Schema) -> Result<BTreeSet<String>> {
    let names = schema.fields().iter().map(|field| field.name().clone()).collect();
    let texts = Arc::new(with_texts(schema, &names));
    let mut changed = BTreeSet::new();
    for batch in open_table(file, Format::Csv, &texts, BATCH_ROWS)? {
        for (field, column) in schema.fields().iter().zip(batch?.columns()) {
            if !changed.contains(field.name()) && !come_back(column, field.data_type()) {
                changed.insert(field.name().clone());
            }
        }
    }
    Ok(changed)
}

/// Columns of JSON lines with numbers that would be rounded.
fn json_texts(file: &Path, schema: &Schema) -> Result<BTreeSet<String>> {
    text_columns(Lines::new(open(file)?), schema).map_err(|BadLine { line, flaw }| {
        let path = file.to_path_buf();
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

fn with_texts(schema: &Schema, columns: &BTreeSet<String>) -> Schema {
    let field = |field: &Arc<Field>| {
        let text = || Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8).with_nullable(true));
        if columns.contains(field.name()) { text() } else { field.clone() }
    };
    Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>())
}

fn dialect(file: &Path) -> arrow::csv::reader::Format {
    let delimiter = if bare_name(file).ends_with(".tsv") { b'\t' } else { b',' };
    arrow::csv::reader::Format::default().with_header(true).with_delimiter(delimiter)
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
    let reader = Lines::new(open(file).ok()?);
    for (line, text) in (1..).zip(BufReader::new(reader).lines()) {
        let text = match text {
            Ok(text) => text,
            Err(error) => return Some((line, error.to_string())),
        };
        if text.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(value) if value.is_object() => {}
            Ok(_) => return Some((line, "is not a JSON object".into())),
            Err(error) => return Some((line, error.to_string())),
        }
    }
    None
}
