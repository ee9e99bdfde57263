//! Latents on disk: memory-mapped Arrow IPC files, so that a row is copied only once, into its batch.
//!
//! A file has one column `latent` of fixed-size lists of f32: per row, the elements of `[latent]` in row-major order. The
//! metadata of the schema hold the shape and a key, which identifies the source of the latents. The metadata of the
//! footer hold a hash of the elements.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeListArray, Float32Array, RecordBatch};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::writer::FileWriter;
use arrow::ipc::{Block, root_as_footer};
use tch::{Device, Kind, Tensor};

use crate::{Result, RunError, mapped};

const COLUMN: &str = "latent";
const KEY: &str = "anyflow.key";
const SHAPE: &str = "anyflow.shape";
const CONTENT: &str = "anyflow.blake3";
/// Bytes after the footer: its length and the magic word.
const TRAILER: usize = 10;

/// Writes the rows of `chunks`, each `[row, shape]` f32, and their hash. Afterwards the file is ready to be published.
///
/// # Errors
/// An error of a chunk; a chunk of another shape; the disk.
pub fn write(to: impl Write, key: &str, shape: &[i64], chunks: impl Iterator<Item = Result<Tensor>>) -> Result<()> {
    let schema = schema(key, shape);
    let mut writer = FileWriter::try_new(BufWriter::new(to), &schema)?;
    let mut hasher = blake3::Hasher::new();
    for chunk in chunks {
        let values = flat(&chunk?, shape)?;
        hasher.update(values.inner());
        let lists =
            FixedSizeListArray::try_new(item(), elements(shape), Arc::new(Float32Array::new(values, None)), None)?;
        writer.write(&RecordBatch::try_new(schema.clone(), vec![Arc::new(lists)])?)?;
    }
    writer.write_metadata(CONTENT, hasher.finalize().to_hex().as_str());
    writer.finish()?;
    Ok(())
}

fn elements(shape: &[i64]) -> i32 {
    shape.iter().product::<i64>() as i32
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
}

fn schema(key: &str, shape: &[i64]) -> SchemaRef {
    let list = DataType::FixedSizeList(item(), elements(shape));
    let shape = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let metadata = HashMap::from([(KEY.to_string(), key.to_string()), (SHAPE.to_string(), shape)]);
    Arc::new(Schema::new_with_metadata(vec![Field::new(COLUMN, list, false)], metadata))
}

/// The elements of a chunk in row-major order.
fn flat(chunk: &Tensor, shape: &[i64]) -> Result<ScalarBuffer<f32>> {
    if chunk.size().get(1..) != Some(shape) {
        return Err(RunError::Internal(format!("latents have shape {:?}, but a row needs {shape:?}", chunk.size())));
    }
    let flat = chunk.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_reshape([-1])?;
    Ok(Vec::<f32>::try_from(&flat)?.into())
}

/// The rows of a memory-mapped file.
pub struct Latents {
    /// Views into the mapped file, one per record batch.
    batches: Vec<Float32Array>,
    /// The first row of each batch.
    starts: Vec<usize>,
    rows: usize,
    shape: Vec<i64>,
    /// The buffer of [`Latents::gather`], f32 on the CPU. It grows to the largest batch.
    staging: Tensor,
}

impl Latents {
    /// Maps a file that [`write()`] wrote with this key, and verifies its hash; `path` names the file in errors.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`]: the file is truncated, damaged, of another format, or has another key.
    pub fn open(file: &File, path: &Path, key: &str) -> Result<Self> {
        let wrong = |text: String| RunError::Checkpoint { path: path.display().to_string(), text };
        let map = mapped::map(file).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        let bytes = Buffer::from(bytes::Bytes::from_owner(map));
        let Content { schema, batches, blake3 } =
            record_batches(&bytes).map_err(|e| wrong(format!("is not a complete Arrow file: {e}")))?;
        let metadata = schema.metadata();
        if metadata.get(KEY).map(String::as_str) != Some(key) {
            return Err(wrong("holds latents of other rows or weights".into()));
        }
        let no_shape = || wrong("has no valid shape of a latent in its metadata".into());
        let shape = metadata.get(SHAPE).and_then(|text| shape_of(text)).ok_or_else(no_shape)?;
        let columns = batches.iter().map(|batch| values(batch, &shape)).collect::<Option<Vec<_>>>();
        let batches = columns.ok_or_else(|| wrong(format!("has no column `{COLUMN}` of lists of {shape:?} f32")))?;
        let mut hasher = blake3::Hasher::new();
        for batch in &batches {
            hasher.update(batch.values().inner());
        }
        if blake3.as_deref() != Some(hasher.finalize().to_hex().as_str()) {
            return Err(wrong("is damaged: its latents differ from the hash in its metadata".into()));
        }
        let mut starts = Vec::with_capacity(batches.len());
        let mut rows = 0;
        for batch in &batches {
            starts.push(rows);
            rows += batch.len() / elements(&shape) as usize;
        }
        let staging = Tensor::f_empty([0, i64::from(elements(&shape))], (Kind::Float, Device::Cpu))?;
        Ok(Latents { batches, starts, rows, shape, staging })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Shape of a row.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// Returns these rows in this order: `[row, shape]`, f32, on the CPU. The next call overwrites their memory.
    ///
    /// # Errors
    /// A row is out of range; out of memory.
    pub fn gather(&mut self, rows: &[u32]) -> Result<Tensor> {
        if let Some(row) = rows.iter().find(|row| **row as usize >= self.rows) {
            return Err(RunError::Internal(format!("latent {row} is out of range, there are {}", self.rows)));
        }
        let count = rows.len();
        let width = elements(&self.shape) as usize;
        if (self.staging.size()[0] as usize) < count {
            self.staging = Tensor::f_empty([count as i64, width as i64], (Kind::Float, Device::Cpu))?;
        }
        let staging: &mut [f32] = if count * width == 0 {
            &mut []
        } else {
            // SAFETY: the tensor is contiguous f32 in host memory with at least `count * width` elements, which nothing
            // else reads or writes during this call.
            unsafe { std::slice::from_raw_parts_mut(self.staging.data_ptr().cast(), count * width) }
        };
        for (row, target) in rows.iter().zip(staging.chunks_exact_mut(width.max(1))) {
            target.copy_from_slice(self.row(*row as usize, width));
        }
        let size: Vec<i64> = std::iter::once(count as i64).chain(self.shape.iter().copied()).collect();
        Ok(self.staging.f_narrow(0, 0, count as i64)?.f_view(size.as_slice())?)
    }

    fn row(&self, row: usize, width: usize) -> &[f32] {
        let batch = self.starts.partition_point(|start| *start <= row) - 1;
        let first = (row - self.starts[batch]) * width;
        &self.batches[batch].values()[first..first + width]
    }
}

/// The content of a file, sharing its memory.
struct Content {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The hash of the rows in the metadata.
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
    let read = |block: &Block| {
        let outside = || "a block is outside of the file".to_string();
        let offset = usize::try_from(block.offset()).map_err(|_| outside())?;
        let length = block.bodyLength() + i64::from(block.metaDataLength());
        let length = usize::try_from(length).map_err(|_| outside())?;
        if offset.checked_add(length).is_none_or(|block_end| block_end > start) {
            return Err(outside());
        }
        let batch = decoder.read_record_batch(block, &bytes.slice_with_length(offset, length)).map_err(text)?;
        batch.ok_or_else(|| "a block is empty".to_string())
    };
    let batches = footer.recordBatches().into_iter().flatten().map(read).collect::<Result<_, _>>()?;
    let content = footer.custom_metadata().into_iter().flatten().find(|pair| pair.key() == Some(CONTENT));
    let blake3 = content.and_then(|pair| pair.value()).map(str::to_string);
    Ok(Content { schema, batches, blake3 })
}

/// The elements of the latent column; `None` if the column has another type or holds nulls.
fn values(batch: &RecordBatch, shape: &[i64]) -> Option<Float32Array> {
    let lists = batch.column_by_name(COLUMN)?.as_fixed_size_list_opt()?;
    let values = lists.values().as_primitive_opt::<Float32Type>()?;
    let whole = lists.value_length() == elements(shape) && lists.null_count() == 0 && values.null_count() == 0;
    whole.then(|| values.clone())
}

fn shape_of(text: &str) -> Option<Vec<i64>> {
    let sizes = text.split(',').filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().ok().filter(|size| *size > 0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(first: i64, rows: i64) -> Tensor {
        (Tensor::arange_start(first * 6, (first + rows) * 6, (Kind::Float, Device::Cpu)) * 0.5).reshape([rows, 2, 3])
    }

    fn written(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("a.arrow");
        let chunks = [chunk(0, 5), chunk(5, 5), chunk(10, 3)].map(Ok).into_iter();
        write(File::create(&path).unwrap(), "k", &[2, 3], chunks).unwrap();
        path
    }

    fn open(path: &Path, key: &str) -> Result<Latents> {
        Latents::open(&File::open(path).unwrap(), path, key)
    }

    #[test]
    fn rows_come_back_bit_for_bit_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut latents = open(&written(folder.path()), "k").unwrap();
        assert_eq!((latents.rows(), latents.shape()), (13, [2i64, 3].as_slice()));
        let all = chunk(0, 13);
        for rows in [&[12, 0, 5, 5, 4][..], &[9], &[], &[3, 11, 2, 1, 0, 7, 8]] {
            let index = Tensor::from_slice(&rows.iter().map(|row| i64::from(*row)).collect::<Vec<_>>());
            assert_eq!(latents.gather(rows).unwrap(), all.index_select(0, &index), "{rows:?}");
        }
        assert!(latents.gather(&[13]).is_err());
    }

    #[test]
    fn batches_share_one_buffer() {
        let folder = tempfile::tempdir().unwrap();
        let mut latents = open(&written(folder.path()), "k").unwrap();
        let first = latents.gather(&[1, 2, 3]).unwrap().data_ptr();
        assert_eq!(latents.gather(&[4, 5]).unwrap().data_ptr(), first);
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
        let wrong = Tensor::zeros([2, 3, 2], (Kind::Float, Device::Cpu));
        assert!(write(Vec::new(), "k", &[2, 3], std::iter::once(Ok(wrong))).is_err());
    }
}
