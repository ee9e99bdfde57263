//! One file of a dataset, and the checks that all files of a dataset fit together.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::ParquetMetaDataReader;

use super::guard::guarded;
use super::size::fixed_bytes;
use super::{footer, stated};
use crate::beneath::MAX_CELL_BYTES;
use crate::data_file::DataFile;
use crate::error::{DatasetError, Result};
use crate::feature::Features;

/// A file with its footer, and the position of its rows in the dataset.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) source: DataFile,
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
    footer_hash: blake3::Hash,
}

impl Part {
    /// Reads the footer.
    pub(crate) fn open(path: &Path, first_row: u64) -> Result<Part> {
        let source = DataFile::new(path)?;
        let footer = source.footer()?;
        let corrupt = |reason: String| DatasetError::Corrupt { path: path.to_path_buf(), row: 0, reason };
        footer::check_encoded(&footer).map_err(corrupt)?;
        let parquet = guarded(|| ParquetMetaDataReader::decode_metadata(&footer)).map_err(corrupt)?;
        let rows = footer::check_layout(&source, &parquet)?;
        if first_row.checked_add(rows).is_none() {
            return Err(corrupt(format!("claims {rows} rows, and all files together would have too many to count")));
        }
        stated::check(&parquet).map_err(corrupt)?;
        let options = ArrowReaderOptions::new();
        let metadata = guarded(|| ArrowReaderMetadata::try_new(Arc::new(parquet), options)).map_err(corrupt)?;
        check_columns(path, metadata.schema())?;
        Ok(Part { source, metadata, first_row, rows, footer_hash: blake3::hash(&footer) })
    }

    /// Rows of each row group, counted within the file.
    pub(crate) fn row_groups(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        row_groups(&self.metadata)
    }
}

fn row_groups(metadata: &ArrowReaderMetadata) -> impl Iterator<Item = Range<u64>> + '_ {
    let mut start = 0;
    metadata.metadata().row_groups().iter().map(move |group| {
        let range = start..start + u64::try_from(group.num_rows()).unwrap_or(0);
        start = range.end;
        range
    })
}

/// Checks that column names are unique, and that values of fixed size are not too large, because nulls take as much.
fn check_columns(path: &Path, schema: &Schema) -> Result<()> {
    let mut known = BTreeSet::new();
    for field in schema.fields() {
        let column = field.name().clone();
        if !known.insert(field.name()) {
            return Err(DatasetError::RepeatedColumn { path: path.to_path_buf(), line: None, column });
        }
        let bytes = fixed_bytes(field.data_type());
        if bytes > MAX_CELL_BYTES {
            let what = format!("column `{column}` of {bytes} bytes a row (the most is {MAX_CELL_BYTES})");
            return Err(DatasetError::Unsupported { path: path.to_path_buf(), what });
        }
    }
    Ok(())
}

/// The first file's schema, nullable wherever any file is.
pub(super) fn common_schema(parts: &[Part]) -> Result<SchemaRef> {
    let Some((first, rest)) = parts.split_first() else {
        return Err(DatasetError::internal("opening a dataset", "no files"));
    };
    let mut fields: Vec<Arc<Field>> = first.metadata.schema().fields().to_vec();
    let features = Features::from_schema(first.metadata.schema());
    for part in rest {
        let schema = part.metadata.schema();
        if let Some(difference) = difference(&fields, &features, schema) {
            let first = first.source.path.clone();
            let path = part.source.path.clone();
            return Err(DatasetError::SchemaMismatch { first, path, difference });
        }
        for (field, other) in fields.iter_mut().zip(schema.fields()) {
            if other.is_nullable() && !field.is_nullable() {
                *field = Arc::new(field.as_ref().clone().with_nullable(true));
            }
        }
    }
    Ok(Arc::new(Schema::new_with_metadata(fields, first.metadata.schema().metadata().clone())))
}

fn difference(fields: &[Arc<Field>], features: &Features, other: &Schema) -> Option<String> {
    let names = |fields: &[Arc<Field>]| fields.iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
    if !fields.iter().map(|field| field.name()).eq(other.fields().iter().map(|field| field.name())) {
        return Some(format!("columns {} against {}", names(fields), names(other.fields())));
    }
    let other_features = Features::from_schema(other);
    fields.iter().zip(other.fields()).find_map(|(field, theirs)| {
        let name = field.name();
        if !field.data_type().equals_datatype(theirs.data_type()) {
            return Some(format!("column `{name}` is {} against {}", field.data_type(), theirs.data_type()));
        }
        let ours = &features[name];
        let theirs = &other_features[name];
        (ours != theirs).then(|| format!("column `{name}` is {} against {}", ours.describe(), theirs.describe()))
    })
}

/// Converts a batch of any file to the common schema.
pub(super) fn conform(batch: &RecordBatch, columns: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let internal = |error| DatasetError::internal("joining batches of several files", error);
    let column = |(index, field): (&usize, &Arc<Field>)| -> Result<ArrayRef> {
        let column = batch.column(*index);
        if column.data_type() == field.data_type() {
            Ok(column.clone())
        } else {
            cast(column, field.data_type()).map_err(internal)
        }
    };
    let columns: Vec<ArrayRef> = columns.iter().zip(schema.fields()).map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(internal)
}

/// Identity of the data, from footers only.
pub(super) fn fingerprint(parts: &[Part]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        let name = part.source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&part.source.size_bytes.to_le_bytes());
        hasher.update(&part.rows.to_le_bytes());
        // The footer holds schema, metadata, statistics and the position of every page.
        hasher.update(part.footer_hash.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
