//! Writes one Parquet file as a stream.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use crate::error::{DatasetError, Result, io_error};
use crate::feature::Features;
use crate::folder::{Folder, NewFile};
use crate::output::MARK_KEY;

/// Encoded bytes of a row group: large enough for good compression and scans, small enough for cheap readers and a
/// small write buffer.
pub const ROW_GROUP_BYTES: usize = 32 << 20;
/// Bytes of a batch that the encoder gets at once. The row group limit is checked between these pieces.
const PIECE_BYTES: usize = 4 << 20;

/// Writes batches of one schema to one Parquet file: zstd, row groups of about [`ROW_GROUP_BYTES`], features in the
/// metadata. The file appears under its name only when [`TableWriter::finish`] succeeds.
///
/// The same batches give the same bytes.
pub struct TableWriter {
    writer: Option<ArrowWriter<HashingFile>>,
    schema: SchemaRef,
    path: PathBuf,
    rows: u64,
}

/// The result of [`TableWriter::finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Number of rows.
    pub rows: u64,
    /// Length of the file.
    pub size_bytes: u64,
    /// Hex blake3 of the file.
    pub blake3: String,
}

impl TableWriter {
    /// Starts a file with the columns of `schema` (whose metadata is kept) and their `features`.
    ///
    /// # Errors
    /// [`DatasetError::Busy`] while another process writes the same file, [`DatasetError::Io`], or
    /// [`DatasetError::Internal`] for a type that Parquet cannot hold.
    pub fn create(path: &Path, schema: &Schema, features: &Features) -> Result<TableWriter> {
        Self::into_file(NewFile::beside(path)?, schema, features)
    }

    /// As [`TableWriter::create`], for a file of a folder that this process holds.
    ///
    /// # Errors
    /// [`DatasetError::Io`], or [`DatasetError::Internal`] for a type that Parquet cannot hold.
    pub fn create_in(folder: &Folder, name: &str, schema: &Schema, features: &Features) -> Result<TableWriter> {
        Self::into_file(folder.create(name)?, schema, features)
    }

    pub(crate) fn into_file(file: NewFile, schema: &Schema, features: &Features) -> Result<TableWriter> {
        let mut schema = relaxed(&features.stamp(schema));
        // Rows read from a shard and written here are not that shard.
        schema.metadata.remove(MARK_KEY);
        let schema = Arc::new(schema);
        let path = file.path();
        let writer = ArrowWriter::try_new(HashingFile::new(file), schema.clone(), Some(properties(&schema)))
            .map_err(|error| write_error(&path, error))?;
        Ok(TableWriter { writer: Some(writer), schema, path, rows: 0 })
    }

    /// Appends a batch. Column names and types must match the schema; metadata may differ.
    ///
    /// # Errors
    /// [`DatasetError::Io`], or [`DatasetError::Internal`] for other columns.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())
            .map_err(|error| DatasetError::internal(format!("writing {}", self.path.display()), error))?;
        let rows = piece_rows(&batch);
        let Some(writer) = self.writer.as_mut() else {
            return Err(DatasetError::internal("writing", "the file is finished"));
        };
        for start in (0..batch.num_rows()).step_by(rows) {
            let piece = batch.slice(start, rows.min(batch.num_rows() - start));
            writer.write(&piece).map_err(|error| write_error(&self.path, error))?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a piece of metadata to the footer.
    pub(crate) fn note(&mut self, key: &str, value: String) {
        if let Some(writer) = &mut self.writer {
            writer.append_key_value_metadata(KeyValue::new(key.to_string(), value));
        }
    }

    /// Writes the footer, makes the file durable, and gives it its name.
    ///
    /// # Errors
    /// [`DatasetError::Io`].
    pub fn finish(mut self) -> Result<Written> {
        let Some(writer) = self.writer.take() else {
            return Err(DatasetError::internal("writing", "the file is finished"));
        };
        let file = writer.into_inner().map_err(|error| write_error(&self.path, error))?;
        file.file.publish()?;
        let blake3 = file.hasher.finalize().to_hex().to_string();
        Ok(Written { rows: self.rows, size_bytes: file.size_bytes, blake3 })
    }
}

/// A file that hashes the bytes written to it.
struct HashingFile {
    file: NewFile,
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl HashingFile {
    fn new(file: NewFile) -> HashingFile {
        HashingFile { file, hasher: blake3::Hasher::new(), size_bytes: 0 }
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// The schema with all columns nullable, because batches of one table may differ in this.
fn relaxed(schema: &Schema) -> Schema {
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn properties(schema: &Schema) -> WriterProperties {
    // Arrow keeps metadata in a map of random order. Sorting makes the file deterministic.
    let mut metadata: Vec<KeyValue> =
        schema.metadata().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    metadata.sort_by(|a, b| a.key.cmp(&b.key));
    let builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_created_by(concat!("anyflow ", env!("CARGO_PKG_VERSION")).to_string())
        .set_key_value_metadata(Some(metadata));
    let without = |builder, field: &Arc<Field>| without_dictionary(builder, field, &mut Vec::new());
    schema.fields().iter().fold(builder, without).build()
}

/// Disables dictionaries for encoded media. They never repeat, so a dictionary would only double the memory.
fn without_dictionary(
    builder: WriterPropertiesBuilder,
    field: &Field,
    path: &mut Vec<String>,
) -> WriterPropertiesBuilder {
    path.push(field.name().clone());
    let builder = match field.data_type() {
        DataType::Struct(fields) => {
            fields.iter().fold(builder, |builder, field| without_dictionary(builder, field, path))
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            path.push("list".into());
            let builder = without_dictionary(builder, item, path);
            path.pop();
            builder
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            builder.set_column_dictionary_enabled(ColumnPath::new(path.clone()), false)
        }
        _ => builder,
    };
    path.pop();
    builder
}

/// The number of rows of about [`PIECE_BYTES`].
fn piece_rows(batch: &RecordBatch) -> usize {
    let rows = batch.num_rows().max(1);
    let size = |column: &arrow::array::ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
    let row_bytes = batch.columns().iter().map(size).sum::<usize>() / rows;
    (PIECE_BYTES / row_bytes.max(1)).clamp(1, rows)
}

fn write_error(path: &Path, error: parquet::errors::ParquetError) -> DatasetError {
    match error {
        parquet::errors::ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => io_error(path, "write")(*source),
            Err(other) => DatasetError::internal(format!("writing {}", path.display()), other),
        },
        other => DatasetError::internal(format!("writing {}", path.display()), other),
    }
}
