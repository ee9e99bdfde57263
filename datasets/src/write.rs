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
use crate::width;

/// Encoded bytes of a row group: large enough for good compression and scans, small enough for cheap readers and a
/// small write buffer.
pub const ROW_GROUP_BYTES: usize = 32 << 20;
/// Decoded bytes of a row group. Compressed bytes say little about them, and many readers decode a whole row group and
/// give up at 2 GiB.
const DECODED_BYTES: usize = 512 << 20;
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
    /// Decoded bytes of the row group in progress, at most.
    decoded: usize,
}

/// The result of [`TableWriter::finish`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFile {
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
    /// [`DatasetError::Busy`] while another process writes the same file, [`DatasetError::Io`],
    /// [`DatasetError::TooWide`], or [`DatasetError::Internal`] for a type that Parquet cannot hold.
    pub fn create(path: &Path, schema: &Schema, features: &Features) -> Result<TableWriter> {
        Self::into_file(NewFile::beside(path)?, schema, features)
    }

    /// As [`TableWriter::create`], for a file of a folder that this process holds.
    ///
    /// # Errors
    /// As [`TableWriter::create`], without [`DatasetError::Busy`].
    pub fn create_in(folder: &Folder, name: &str, schema: &Schema, features: &Features) -> Result<TableWriter> {
        Self::into_file(folder.create(name)?, schema, features)
    }

    pub(crate) fn into_file(file: NewFile, schema: &Schema, features: &Features) -> Result<TableWriter> {
        let mut schema = relaxed(&features.stamp(schema));
        // Rows read from a shard and written here are not that shard.
        schema.metadata.remove(MARK_KEY);
        let schema = Arc::new(schema);
        let path = file.path();
        width::check(&path, &schema, 1)?;
        let writer = ArrowWriter::try_new(HashingFile::new(file), schema.clone(), Some(properties(&schema)))
            .map_err(|error| write_error(&path, error))?;
        Ok(TableWriter { writer: Some(writer), schema, path, rows: 0, decoded: 0 })
    }

    /// Appends a batch. Column names and types must match the schema; metadata may differ.
    ///
    /// # Errors
    /// [`DatasetError::Io`], or [`DatasetError::Internal`] for other columns.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())
            .map_err(|error| DatasetError::internal(format!("writing {}", self.path.display()), error))?;
        let row_bytes = row_bytes(&batch);
        let rows = (PIECE_BYTES / row_bytes).clamp(1, batch.num_rows().max(1));
        let Some(writer) = self.writer.as_mut() else {
            return Err(DatasetError::internal("writing", "the file is finished"));
        };
        for start in (0..batch.num_rows()).step_by(rows) {
            let rows = rows.min(batch.num_rows() - start);
            writer.write(&batch.slice(start, rows)).map_err(|error| write_error(&self.path, error))?;
            let open = writer.in_progress_rows();
            let before = if open < rows { 0 } else { self.decoded };
            self.decoded = before.saturating_add(open.min(rows).saturating_mul(row_bytes));
            if self.decoded > DECODED_BYTES {
                writer.flush().map_err(|error| write_error(&self.path, error))?;
                self.decoded = 0;
            }
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
    pub fn finish(mut self) -> Result<WrittenFile> {
        let Some(mut writer) = self.writer.take() else {
            return Err(DatasetError::internal("writing", "the file is finished"));
        };
        // `into_inner` would lose the cause of a write that fails, such as a full disk.
        writer.finish().map_err(|error| write_error(&self.path, error))?;
        let file = writer.inner_mut();
        let published = file.file.take().ok_or_else(|| DatasetError::internal("writing", "the file is published"))?;
        published.publish()?;
        let blake3 = file.hasher.finalize().to_hex().to_string();
        Ok(WrittenFile { rows: self.rows, size_bytes: file.size_bytes, blake3 })
    }
}

/// A file that hashes the bytes written to it.
struct HashingFile {
    /// Until it is published.
    file: Option<NewFile>,
    hasher: blake3::Hasher,
    size_bytes: u64,
}

impl HashingFile {
    fn new(file: NewFile) -> HashingFile {
        HashingFile { file: Some(file), hasher: blake3::Hasher::new(), size_bytes: 0 }
    }

    fn open(&mut self) -> std::io::Result<&mut NewFile> {
        self.file.as_mut().ok_or_else(|| std::io::Error::other("the file is published"))
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.open()?.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.open()?.flush()
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

/// The mean bytes of a row, at least 1.
fn row_bytes(batch: &RecordBatch) -> usize {
    let size = |column: &arrow::array::ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0);
    let bytes = batch.columns().iter().map(size).sum::<usize>();
    (bytes / batch.num_rows().max(1)).max(1)
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

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, BinaryArray, Int64Array, ListArray, StructArray};
    use arrow::buffer::OffsetBuffer;
    use parquet::basic::Encoding;
    use parquet::file::metadata::ParquetMetaData;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;

    /// A column of ids and one of incompressible blobs of `size` bytes, also in a struct and in a list.
    fn blobs(rows: usize, size: usize) -> RecordBatch {
        let mut state = 1u64;
        let mut eight = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state ^ (state >> 32)).to_le_bytes()
        };
        let mut blob = || (0..size.div_ceil(8)).flat_map(|_| eight()).take(size).collect::<Vec<u8>>();
        let blobs: Vec<Vec<u8>> = (0..rows).map(|_| blob()).collect();
        let blobs: ArrayRef = Arc::new(BinaryArray::from_iter_values(blobs));
        let bytes = Arc::new(Field::new("bytes", DataType::Binary, true));
        let one_each = OffsetBuffer::from_lengths(vec![1; rows]);
        let columns: [(&str, ArrayRef); 4] = [
            ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
            ("blob", blobs.clone()),
            ("image", Arc::new(StructArray::from(vec![(bytes.clone(), blobs.clone())]))),
            (
                "list",
                Arc::new(ListArray::new(
                    Arc::new(Field::new_list_field(DataType::Binary, true)),
                    one_each,
                    blobs,
                    None,
                )),
            ),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn written(batch: &RecordBatch) -> (WrittenFile, ParquetMetaData, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let schema = batch.schema();
        let mut writer = TableWriter::create(&path, &schema, &Features::from_schema(&schema)).unwrap();
        writer.note("a note", "its value".into());
        writer.write(batch).unwrap();
        assert_eq!(writer.rows(), batch.num_rows() as u64);
        let written = writer.finish().unwrap();
        assert_eq!(written.blake3, blake3::hash(&std::fs::read(&path).unwrap()).to_hex().to_string());
        assert_eq!(written.size_bytes, std::fs::metadata(&path).unwrap().len());
        let metadata = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap().metadata().clone();
        (written, metadata, folder)
    }

    #[test]
    fn bytes_of_rows_are_those_of_their_values() {
        let large = row_bytes(&blobs(8, 1 << 20).project(&[0, 1]).unwrap());
        assert!((1 << 20..(1 << 20) + 64).contains(&large), "{large}");
        assert!(row_bytes(&blobs(100, 1)) < 64);
        assert_eq!(row_bytes(&blobs(0, 1).project(&[0]).unwrap()), 1);
    }

    #[test]
    fn rows_that_compress_well_are_in_several_row_groups_too() {
        let zeros = vec![vec![0u8; 4 << 20]; 16];
        let zeros: ArrayRef = Arc::new(BinaryArray::from_iter_values(zeros));
        let batch = RecordBatch::try_from_iter([("image", zeros)]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let schema = batch.schema();
        let mut writer = TableWriter::create(&path, &schema, &Features::from_schema(&schema)).unwrap();
        (0..10).for_each(|_| writer.write(&batch).unwrap());
        assert!(writer.finish().unwrap().size_bytes < 1 << 20);
        let metadata = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap().metadata().clone();
        let rows: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(rows, [128, 32]);
    }

    #[test]
    fn one_large_batch_becomes_several_row_groups_with_all_rows() {
        let batch = blobs(43, 1 << 20).project(&[0, 1]).unwrap();
        let (written, metadata, _folder) = written(&batch);
        assert_eq!(written.rows, 43);
        let rows: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        assert!(rows.len() > 1 && rows.iter().all(|rows| *rows <= 37) && rows.iter().sum::<i64>() == 43, "{rows:?}");
    }

    #[test]
    fn files_are_zstd_with_sorted_metadata_and_media_without_dictionary() {
        let (_, metadata, _folder) = written(&blobs(10, 3));
        let keys = metadata.file_metadata().key_value_metadata().unwrap();
        assert!(keys.iter().any(|pair| pair.key == "a note" && pair.value.as_deref() == Some("its value")));
        assert!(metadata.file_metadata().created_by().unwrap().starts_with("anyflow "));
        for column in metadata.row_group(0).columns() {
            assert!(matches!(column.compression(), Compression::ZSTD(_)));
            let dictionary = column.encodings().any(|encoding| encoding == Encoding::RLE_DICTIONARY);
            assert_eq!(dictionary, column.column_path().string() == "id", "{}", column.column_path());
        }
    }

    #[test]
    fn other_columns_than_those_of_the_file_are_a_bug() {
        let folder = tempfile::tempdir().unwrap();
        let batch = blobs(2, 1);
        let schema = batch.schema();
        let path = folder.path().join("a.parquet");
        let mut writer = TableWriter::create(&path, &schema, &Features::from_schema(&schema)).unwrap();
        let other = writer.write(&batch.project(&[1, 0, 2, 3]).unwrap());
        assert!(matches!(other, Err(DatasetError::Internal { .. })));
        writer.write(&batch).unwrap();
        assert_eq!(writer.finish().unwrap().rows, 2);
    }
}
