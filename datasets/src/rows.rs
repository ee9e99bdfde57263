//! Writes rows one by one to a Parquet file.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use crate::cell::{OwnedCell, column_from_cells, media_column};
use crate::error::{DatasetError, Result};
use crate::feature::{Feature, Features};
use crate::folder::NewFile;
use crate::write::TableWriter;

const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 8 << 20;

/// One value of a row.
pub(crate) enum Value {
    Null,
    Cell(OwnedCell),
    /// An encoded file and its original name.
    File {
        bytes: Vec<u8>,
        name: String,
    },
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Value {
        Value::Cell(OwnedCell::Utf8(text.into()))
    }

    fn size_bytes(&self) -> usize {
        match self {
            Value::File { bytes, .. } | Value::Cell(OwnedCell::Bytes(bytes)) => bytes.len(),
            Value::Cell(OwnedCell::Utf8(text)) => text.len(),
            Value::Cell(OwnedCell::List(list)) => size_of_val(list.as_list().values()),
            Value::Cell(OwnedCell::Files(files)) => files.iter().map(Vec::len).sum(),
            _ => 8,
        }
    }
}

/// Collects rows, and writes them in batches of bounded size.
pub(crate) struct Rows {
    writer: TableWriter,
    schema: SchemaRef,
    features: Features,
    waiting: Vec<Vec<Value>>,
    waiting_bytes: usize,
}

impl Rows {
    pub(crate) fn create(out: &Path, features: Features) -> Result<Rows> {
        Self::with_metadata(NewFile::beside(out)?, features, None)
    }

    /// Starts a file with an additional key and value in the schema's metadata.
    pub(crate) fn with_metadata(out: NewFile, features: Features, metadata: Option<(&str, String)>) -> Result<Rows> {
        let mut schema =
            features.to_schema().ok_or_else(|| DatasetError::internal("writing rows", "a feature without type"))?;
        schema.metadata.extend(metadata.map(|(key, value)| (key.to_string(), value)));
        let writer = TableWriter::into_file(out, &schema, &features)?;
        Ok(Rows { writer, schema: Arc::new(schema), features, waiting: Vec::new(), waiting_bytes: 0 })
    }

    /// Appends a row: one value per feature, in their order.
    pub(crate) fn push(&mut self, row: Vec<Value>) -> Result<()> {
        self.waiting_bytes += row.iter().map(Value::size_bytes).sum::<usize>();
        self.waiting.push(row);
        if self.waiting.len() >= BATCH_ROWS || self.waiting_bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    pub(crate) fn finish(mut self) -> Result<(u64, Features)> {
        self.flush()?;
        Ok((self.writer.finish()?.rows, self.features))
    }

    fn flush(&mut self) -> Result<()> {
        let mut columns: Vec<Vec<Value>> = self.features.iter().map(|_| Vec::new()).collect();
        for row in self.waiting.drain(..) {
            columns.iter_mut().zip(row).for_each(|(column, value)| column.push(value));
        }
        self.waiting_bytes = 0;
        let arrays = columns.into_iter().zip(self.features.values()).map(|(values, feature)| array(values, feature));
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let batch = RecordBatch::try_new(self.schema.clone(), arrays);
        self.writer.write(&batch.map_err(|error| DatasetError::internal("writing rows", error))?)
    }
}

fn array(values: Vec<Value>, feature: &Feature) -> Result<ArrayRef> {
    let (cells, names): (Vec<_>, Vec<_>) = values
        .into_iter()
        .map(|value| match value {
            Value::Null => (None, None),
            Value::Cell(cell) => (Some(cell), None),
            Value::File { bytes, name } => (Some(OwnedCell::Bytes(bytes)), Some(name)),
        })
        .unzip();
    if !feature.is_media() {
        return column_from_cells(&cells, feature);
    }
    let bytes = column_from_cells(&cells, &Feature::Value("binary".into()))?;
    Ok(media_column(bytes, Arc::new(StringArray::from(names))))
}
