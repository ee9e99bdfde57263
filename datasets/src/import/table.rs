//! JSON lines and CSV.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;

use super::{Imported, bare_name, open, refusal};
use crate::error::{DatasetError, Result};
use crate::feature::Features;
use crate::write::TableWriter;

const BATCH_ROWS: usize = 1024;

/// Kind of text table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    JsonLines,
    Csv,
}

/// Batches of a text table; errors name the file.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>>>;

/// Writes the table as it is; the types of columns are those that fit all rows.
pub(super) fn import(file: &Path, format: Format, out: &Path) -> Result<Imported> {
    let (schema, batches) = read(file, format, BATCH_ROWS)?;
    let features = Features::from_schema(&schema);
    let mut writer = TableWriter::create(out, &schema, &features)?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    Ok(Imported { rows: writer.finish()?.rows, features, left_out: 0 })
}

/// Reads the file once for its types and opens it again for its rows.
pub(super) fn read(file: &Path, format: Format, batch_rows: usize) -> Result<(SchemaRef, Batches)> {
    let schema = Arc::new(infer(file, format)?);
    if schema.fields().is_empty() {
        return Err(refusal(file, "has no columns; the file needs at least one row"));
    }
    let path = file.to_path_buf();
    let reader = BufReader::new(open(file)?);
    let named = move |batch: Result<RecordBatch, ArrowError>| batch.map_err(|error| explain(&path, format, error));
    let failed = |error| explain(file, format, error);
    let batches: Batches = match format {
        Format::JsonLines => {
            // A column of numbers and texts is one of texts.
            let builder = arrow::json::ReaderBuilder::new(schema.clone()).with_coerce_primitive(true);
            Box::new(builder.with_batch_size(batch_rows).build(reader).map_err(failed)?.map(named))
        }
        Format::Csv => {
            let builder = arrow::csv::ReaderBuilder::new(schema.clone()).with_format(dialect(file));
            Box::new(builder.with_batch_size(batch_rows).build(reader).map_err(failed)?.map(named))
        }
    };
    Ok((schema, batches))
}

fn infer(file: &Path, format: Format) -> Result<Schema> {
    let mut reader = BufReader::new(open(file)?);
    let inferred = match format {
        Format::JsonLines => arrow::json::reader::infer_json_schema(&mut reader, None),
        Format::Csv => dialect(file).infer_schema(&mut reader, None),
    };
    inferred.map(|(schema, _)| schema).map_err(|error| explain(file, format, error))
}

fn dialect(file: &Path) -> arrow::csv::reader::Format {
    let delimiter = if bare_name(file).ends_with(".tsv") { b'\t' } else { b',' };
    arrow::csv::reader::Format::default().with_header(true).with_delimiter(delimiter)
}

/// Arrow's JSON reader does not say where; a second look finds the line.
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
    let reader: Box<dyn Read> = open(file).ok()?;
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
            Ok(_) => return Some((line, "is no JSON object".into())),
            Err(error) => return Some((line, error.to_string())),
        }
    }
    None
}
