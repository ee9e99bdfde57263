//! Opens and verifies the files.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::{Block, root_as_footer};
use memmap2::Advice;
use tch::Kind;

use super::writer::{CONTENT, KEY, SHAPE};
use super::{Map, MappedColumn};
use crate::{Result, RunError};

/// Bytes after the footer: its length and the magic word.
const TRAILER: usize = 10;
/// Bytes that are hashed before their pages are released.
const HASHED_AT_ONCE: usize = 64 << 20;

/// A mapped file that [`MappedWriter`](super::MappedWriter) wrote.
pub struct MappedFile {
    map: Map,
    path: String,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    content: String,
}

impl MappedFile {
    /// Maps a file with this key and verifies its hash; `path` names the file in errors.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`]: the file is truncated, damaged, of another format, or has another key.
    pub fn open(file: &File, path: &Path, key: &str) -> Result<Self> {
        let path = path.display().to_string();
        let wrong = |text: String| RunError::Checkpoint { path: path.clone(), text };
        let map = Map::of(file).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        map.advise(Advice::Sequential);
        let bytes = Buffer::from(bytes::Bytes::from_owner(map.clone()));
        let Content { schema, batches, bytes: range, blake3 } =
            record_batches(&bytes).map_err(|e| wrong(format!("is not a complete Arrow file: {e}")))?;
        if schema.metadata().get(KEY).map(String::as_str) != Some(key) {
            return Err(wrong("holds arrays of other rows or weights".into()));
        }
        let mut hasher = blake3::Hasher::new();
        for piece in bytes[range].chunks(HASHED_AT_ONCE) {
            hasher.update(piece);
            map.release();
        }
        let content = hasher.finalize().to_hex().to_string();
        if blake3.as_deref() != Some(content.as_str()) {
            return Err(wrong("is damaged: its content differs from the hash in its metadata".into()));
        }
        map.advise(Advice::Random);
        Ok(MappedFile { map, path, schema, batches, content })
    }

    /// The hash of the content.
    pub fn content(&self) -> &str {
        &self.content
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The parts of a column, one per record batch.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`]: there is no such column.
    pub fn parts(&self, name: &str) -> Result<Vec<&ArrayRef>> {
        let parts = self.batches.iter().map(|batch| batch.column_by_name(name)).collect::<Option<_>>();
        parts.ok_or_else(|| self.wrong(format!("has no column `{name}`")))
    }

    /// A column of arrays.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`]: there is no such column; its type is not that of arrays.
    pub fn column(&self, name: &str) -> Result<MappedColumn> {
        let wrong = || self.wrong(format!("has no column `{name}` of arrays with a shape in its metadata"));
        let field = self.schema.field_with_name(name).map_err(|_| wrong())?;
        let shape = field.metadata().get(SHAPE).and_then(|text| shape_of(text)).ok_or_else(wrong)?;
        let elements = i32::try_from(shape.iter().product::<i64>()).map_err(|_| wrong())?;
        let kind = match field.data_type() {
            DataType::FixedSizeList(item, size) if *size == elements => kind_of(item.data_type()),
            _ => None,
        };
        let kind = kind.ok_or_else(wrong)?;
        let values = |part: &&ArrayRef| {
            let lists = part.as_fixed_size_list_opt()?;
            let data = lists.values().to_data();
            let width = kind.elt_size_in_bytes() * elements as usize;
            let start = data.offset() * kind.elt_size_in_bytes();
            let all = data.buffers().first()?;
            let length = lists.len() * width;
            (data.null_count() == 0 && start + length <= all.len()).then(|| all.slice_with_length(start, length))
        };
        let parts = self.parts(name)?.iter().map(values).collect::<Option<Vec<Buffer>>>().ok_or_else(wrong)?;
        MappedColumn::new(self.map.clone(), &self.content, parts, shape, kind)
    }

    /// Which rows have no array in a column; `None` if every row has one.
    ///
    /// # Errors
    /// See [`MappedFile::parts`].
    pub fn missing(&self, name: &str) -> Result<Option<Vec<bool>>> {
        let parts = self.parts(name)?;
        if parts.iter().all(|part| part.null_count() == 0) {
            return Ok(None);
        }
        Ok(Some(parts.iter().flat_map(|part| (0..part.len()).map(|row| part.is_null(row))).collect()))
    }

    fn wrong(&self, text: String) -> RunError {
        RunError::Checkpoint { path: self.path.clone(), text }
    }
}

fn kind_of(item: &DataType) -> Option<Kind> {
    match item {
        DataType::Float32 => Some(Kind::Float),
        DataType::Int64 => Some(Kind::Int64),
        DataType::UInt8 => Some(Kind::Uint8),
        _ => None,
    }
}

fn shape_of(text: &str) -> Option<Vec<i64>> {
    let sizes = text.split(',').filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().ok().filter(|size| *size > 0)).collect()
}

/// The content of a file, sharing its memory.
struct Content {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The bytes of all record batches.
    bytes: Range<usize>,
    /// Their hash, as the metadata say.
    blake3: Option<String>,
}

fn record_batches(bytes: &Buffer) -> Result<Content, String> {
    let text = |e: arrow::error::ArrowError| e.to_string();
    let end = bytes.len().checked_sub(TRAILER).ok_or("it is too short")?;
    let mut trailer = [0; TRAILER];
    trailer.copy_from_slice(&bytes[end..]);
    let length = read_footer_length(trailer).map_err(text)?;
    let start = end.checked_sub(length).ok_or("its footer is longer than the file")?;
    let footer = root_as_footer(&bytes[start..end]).map_err(|e| e.to_string())?;
    let schema: SchemaRef = Arc::new(fb_to_schema(footer.schema().ok_or("it has no schema")?));
    // Arrow aligns the buffers of a file. The decoder would silently copy an unaligned one.
    let decoder = FileDecoder::new(schema.clone(), footer.version()).with_require_alignment(true);
    let blocks: Vec<&Block> = footer.recordBatches().into_iter().flatten().collect();
    let mut first = start;
    let mut last = 0;
    let mut batches = Vec::with_capacity(blocks.len());
    for block in blocks {
        let outside = || "a block is outside of the file".to_string();
        let offset = usize::try_from(block.offset()).map_err(|_| outside())?;
        let length = block.bodyLength() + i64::from(block.metaDataLength());
        let length = usize::try_from(length).map_err(|_| outside())?;
        let block_end = offset.checked_add(length).filter(|end| *end <= start).ok_or_else(outside)?;
        first = first.min(offset);
        last = last.max(block_end);
        let batch = decoder.read_record_batch(block, &bytes.slice_with_length(offset, length)).map_err(text)?;
        batches.push(batch.ok_or_else(|| "a block is empty".to_string())?);
    }
    let content = footer.custom_metadata().into_iter().flatten().find(|pair| pair.key() == Some(CONTENT));
    let blake3 = content.and_then(|pair| pair.value()).map(str::to_string);
    Ok(Content { schema, batches, bytes: first.min(last)..last, blake3 })
}

#[cfg(test)]
mod tests {
    use tch::{Device, Tensor};

    use super::*;
    use crate::mapped::{MappedWriter, array_field, arrays};

    /// Rows `first..first + rows` of a column of `[2, 3]` f32.
    fn chunk(first: i64, rows: i64) -> Tensor {
        (Tensor::arange_start(first * 6, (first + rows) * 6, (Kind::Float, Device::Cpu)) * 0.5).reshape([rows, 2, 3])
    }

    fn written(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("a.arrow");
        let fields =
            vec![array_field("a", &[2, 3], Kind::Float).unwrap(), array_field("b", &[2], Kind::Uint8).unwrap()];
        let mut writer = MappedWriter::new(File::create(&path).unwrap(), "k", fields).unwrap();
        for (first, rows) in [(0, 5), (5, 5), (10, 3)] {
            let small = Tensor::arange_start(first * 2, (first + rows) * 2, (Kind::Uint8, Device::Cpu)).view([rows, 2]);
            let missing: Vec<bool> = (first..first + rows).map(|row| row % 4 == 3).collect();
            let columns =
                vec![arrays(&chunk(first, rows), &[2, 3], &[]).unwrap(), arrays(&small, &[2], &missing).unwrap()];
            writer.write(columns).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn open(path: &Path, key: &str) -> Result<MappedFile> {
        MappedFile::open(&File::open(path).unwrap(), path, key)
    }

    #[test]
    fn rows_come_back_bit_for_bit_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let file = open(&written(folder.path()), "k").unwrap();
        let column = file.column("a").unwrap();
        assert_eq!((file.rows(), column.rows()), (13, 13));
        let all = chunk(0, 13);
        for rows in [&[12, 0, 5, 5, 4][..], &[9], &[], &[3, 11, 2, 1, 0, 7, 8]] {
            let index = Tensor::from_slice(&rows.iter().map(|row| i64::from(*row)).collect::<Vec<_>>());
            assert_eq!(column.gather(rows).unwrap(), all.index_select(0, &index), "{rows:?}");
        }
        assert!(column.gather(&[13]).is_err());
        let first = column.gather(&[1, 2, 3]).unwrap().data_ptr();
        assert_eq!(column.gather(&[4, 5]).unwrap().data_ptr(), first, "batches share one buffer");
        let pieces: Vec<Tensor> = column.chunks(4).map(|piece| piece.unwrap().copy()).collect();
        assert_eq!((pieces.len(), Tensor::cat(&pieces, 0)), (4, all));
    }

    #[test]
    fn small_integers_and_missing_rows_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = open(&written(folder.path()), "k").unwrap();
        let rows = file.column("b").unwrap().gather(&[2, 12]).unwrap();
        assert_eq!((rows.kind(), Vec::<u8>::try_from(rows.flatten(0, -1)).unwrap()), (Kind::Uint8, vec![4, 5, 24, 25]));
        assert_eq!(file.missing("a").unwrap(), None);
        assert_eq!(file.missing("b").unwrap().unwrap(), (0..13).map(|row| row % 4 == 3).collect::<Vec<_>>());
        assert!(file.column("c").is_err() && file.missing("c").is_err());
    }

    #[test]
    fn a_truncated_file_and_another_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        assert!(open(&path, "other").err().unwrap().to_string().contains("other rows or weights"));
        let whole = std::fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(open(&path, "k").is_err(), "{length} of {} bytes", whole.len());
        }
        std::fs::write(&path, &whole).unwrap();
        assert!(open(&path, "k").is_ok());
    }

    #[test]
    fn a_changed_element_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let mut bytes = std::fs::read(&path).unwrap();
        let element = 16.5f32.to_le_bytes();
        let at = bytes.windows(4).position(|part| part == element).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(open(&path, "k").err().unwrap().to_string().contains("damaged"));
    }

    #[test]
    fn a_chunk_of_another_shape_is_refused() {
        assert!(arrays(&Tensor::zeros([2, 3, 2], (Kind::Float, Device::Cpu)), &[2, 3], &[]).is_err());
    }
}
