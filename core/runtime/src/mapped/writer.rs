//! Writes the files.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, UInt8Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::writer::FileWriter;
use tch::{Device, Kind, Tensor};

use crate::{Result, RunError};

/// Metadata keys: of the schema, of a column, of the footer.
pub(super) const KEY: &str = "anyflow.key";
pub(super) const SHAPE: &str = "anyflow.shape";
pub(super) const CONTENT: &str = "anyflow.blake3";

/// A file in the making. The metadata of its schema hold a key, which identifies the source of its rows; those of a column
/// of arrays hold the shape of a row. The metadata of the footer hold a hash of the record batches.
pub struct MappedWriter<W: Write> {
    writer: FileWriter<Hashed<BufWriter<W>>>,
    schema: SchemaRef,
}

impl<W: Write> MappedWriter<W> {
    /// Starts a file with these columns.
    ///
    /// # Errors
    /// The disk.
    pub fn new(to: W, key: &str, fields: Vec<Field>) -> Result<Self> {
        let metadata = HashMap::from([(KEY.to_string(), key.to_string())]);
        let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
        let to = Hashed { to: BufWriter::new(to), hasher: blake3::Hasher::new() };
        let mut writer = FileWriter::try_new(to, &schema)?;
        writer.get_mut().hasher.reset();
        Ok(MappedWriter { writer, schema })
    }

    /// Appends rows: their columns in order.
    ///
    /// # Errors
    /// Columns of other types or lengths; the disk.
    pub fn write(&mut self, columns: Vec<ArrayRef>) -> Result<()> {
        Ok(self.writer.write(&RecordBatch::try_new(self.schema.clone(), columns)?)?)
    }

    /// Completes the file. Afterwards it is ready to be published.
    ///
    /// # Errors
    /// The disk.
    pub fn finish(mut self) -> Result<()> {
        let hash = self.writer.get_ref().hasher.finalize().to_hex();
        self.writer.write_metadata(CONTENT, hash.as_str());
        Ok(self.writer.finish()?)
    }
}

/// Hashes what is written.
struct Hashed<W> {
    to: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

/// A column of arrays: per row a list of the elements in row-major order, or null if the row lacks the array.
///
/// # Errors
/// No port has elements of this kind.
pub fn array_field(name: &str, shape: &[i64], kind: Kind) -> Result<Field> {
    let sizes = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let list = DataType::FixedSizeList(item(kind)?, shape.iter().product::<i64>() as i32);
    Ok(Field::new(name, list, true).with_metadata(HashMap::from([(SHAPE.to_string(), sizes)])))
}

fn item(kind: Kind) -> Result<Arc<Field>> {
    let of = match kind {
        Kind::Float => DataType::Float32,
        Kind::Int64 => DataType::Int64,
        Kind::Uint8 => DataType::UInt8,
        _ => return Err(RunError::Internal(format!("arrays of {kind:?} cannot be stored"))),
    };
    Ok(Arc::new(Field::new("item", of, false)))
}

/// The rows of `chunk`, `[row, shape]`, as a column of arrays. A row is null where `missing` is true.
///
/// # Errors
/// The chunk has another shape.
pub fn arrays(chunk: &Tensor, shape: &[i64], missing: &[bool]) -> Result<ArrayRef> {
    if chunk.size().get(1..) != Some(shape) {
        return Err(RunError::Internal(format!("arrays have shape {:?}, but a row needs {shape:?}", chunk.size())));
    }
    let flat = chunk.f_to_device(Device::Cpu)?.f_reshape([-1])?;
    let values: ArrayRef = match chunk.kind() {
        Kind::Int64 => Arc::new(Int64Array::from(Vec::<i64>::try_from(&flat)?)),
        Kind::Uint8 => Arc::new(UInt8Array::from(Vec::<u8>::try_from(&flat)?)),
        _ => Arc::new(Float32Array::from(Vec::<f32>::try_from(&flat.f_to_kind(Kind::Float)?)?)),
    };
    let kind = if matches!(chunk.kind(), Kind::Int64 | Kind::Uint8) { chunk.kind() } else { Kind::Float };
    let present: Option<NullBuffer> =
        missing.contains(&true).then(|| missing.iter().map(|missing| !missing).collect::<Vec<_>>().into());
    let elements = shape.iter().product::<i64>() as i32;
    Ok(Arc::new(FixedSizeListArray::try_new(item(kind)?, elements, values, present)?))
}
