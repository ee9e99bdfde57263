//! The rows of sources on disk: read and encoded once, then mapped, so that a training needs little memory.

use std::sync::Arc;

use anyflow_datasets::Folder;
use anyflow_plan::plan::{Component, Model};
use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type};
use indexmap::IndexMap;
use serde_json::{Value, json};

use super::FOLDER;
use crate::mapped::{MappedColumn, MappedFile, MappedWriter, array_field, arrays};
use crate::plugin::files_of;
use crate::table::{CellReader, Piece, SourceArray, SourceReader, SourceRows};
use crate::{Result, RunError};

/// The end of the files' names. Those of latents end with a key.
const SUFFIX: &str = ".rows.arrow";
/// The columns of join values and classes. The column of an array is `stream.NAME`.
const JOIN: &str = "join";
const CLASS: &str = "class";

/// The row cache of a training: one file per source and table.
pub struct RowCache<'a> {
    /// The training's folder.
    pub files: &'a Folder,
    /// The model, for its codecs.
    pub model: &'a Model,
    /// Hashes of plugins by name.
    pub plugins: &'a IndexMap<String, String>,
    /// Identities of the sources.
    pub sources: &'a IndexMap<String, String>,
}

impl RowCache<'_> {
    /// The rows of a source, from the cache if it has them.
    ///
    /// # Errors
    /// Errors of [`SourceReader::read`]; the disk.
    pub fn rows(&self, reader: &SourceReader<'_>) -> Result<SourceRows<MappedColumn>> {
        let key = self.key(reader);
        let name = format!("{FOLDER}/{}.{}{SUFFIX}", reader.name, &key[..16]);
        match self.found(&name, &key, reader) {
            Ok(Some(rows)) => return Ok(rows),
            Ok(None) => {}
            Err(error) => reader.reading.events.note(format!("{error}; it is written again")),
        }
        let mut file = self.files.create(&name)?;
        let mut writer = MappedWriter::new(&mut file, &key, fields(reader)?)?;
        reader.read(|piece| writer.write(columns(reader, piece)?))?;
        writer.finish()?;
        file.publish()?;
        let found = self.found(&name, &key, reader)?;
        found.ok_or_else(|| RunError::Internal(format!("{name} disappeared after it was written")))
    }

    /// Removes the files, which a finished training does not need.
    ///
    /// # Errors
    /// The disk.
    pub fn forget(files: &Folder) -> Result<()> {
        for name in files.files(FOLDER)?.iter().filter(|name| name.ends_with(SUFFIX)) {
            files.remove(&format!("{FOLDER}/{name}"))?;
        }
        Ok(())
    }

    fn found(&self, name: &str, key: &str, reader: &SourceReader<'_>) -> Result<Option<SourceRows<MappedColumn>>> {
        let Some(file) = self.files.open_file(name)? else { return Ok(None) };
        source_rows(&MappedFile::open(&file, &self.files.path().join(name), key)?, reader).map(Some)
    }

    /// A hash of everything that the rows depend on: the source, the columns, and the codecs with their plugins' code.
    fn key(&self, reader: &SourceReader<'_>) -> String {
        let codecs: Vec<_> = reader.arrays().iter().filter_map(|array| self.made_by(array)).collect();
        let is_of_source = |name: &&String| name.split(", ").next() == Some(reader.name);
        let source: Vec<_> = self.sources.iter().filter(|(name, _)| is_of_source(name)).collect();
        let class = reader.class().map(|class| &class.column);
        let all = json!([source, codecs, reader.table.join, class, reader.table.classes]);
        blake3::hash(all.to_string().as_bytes()).to_hex().to_string()
    }

    /// What an array depends on beside the rows of its source.
    fn made_by(&self, array: &SourceArray<'_>) -> Option<Value> {
        let (name, column) = (&array.name, &array.column.column);
        match &array.reader {
            CellReader::Codec { of, .. } => {
                let Component { plugin, id, parameters, library: _ } = self.codec(of)?;
                let code = self.plugins.get(plugin);
                let files = self.plugins.get(&files_of(&format!("{plugin}/{id}")));
                Some(json!([name, column, plugin, id, parameters, code, files]))
            }
            CellReader::Numbers { count, .. } => Some(json!([name, column, count])),
        }
    }

    fn codec(&self, stream: &str) -> Option<&Component> {
        let of_prompt = || self.model.encoded(stream).map(|prompt| &prompt.codec);
        self.model.streams.get(stream).map(|stream| &stream.codec).or_else(of_prompt)
    }
}

fn column_of(stream: &str) -> String {
    format!("stream.{stream}")
}

fn fields(reader: &SourceReader<'_>) -> Result<Vec<Field>> {
    let field = |SourceArray { name, reader, .. }: &SourceArray<'_>| {
        array_field(&column_of(name), &reader.shape(), reader.kind())
    };
    let mut fields = reader.arrays().iter().map(field).collect::<Result<Vec<_>>>()?;
    fields.extend(reader.table.join.as_ref().map(|_| Field::new(JOIN, DataType::Utf8, false)));
    fields.extend(reader.class().map(|_| Field::new(CLASS, DataType::Int64, true)));
    Ok(fields)
}

fn columns(reader: &SourceReader<'_>, piece: Piece) -> Result<Vec<ArrayRef>> {
    let column = |SourceArray { name, reader, .. }: &SourceArray<'_>| {
        arrays(&piece.arrays[name], &reader.shape(), &piece.missing[name])
    };
    let mut columns = reader.arrays().iter().map(column).collect::<Result<Vec<_>>>()?;
    columns.extend(reader.table.join.as_ref().map(|_| Arc::new(StringArray::from(piece.join)) as ArrayRef));
    columns.extend(reader.class().map(|_| Arc::new(Int64Array::from(piece.class)) as ArrayRef));
    Ok(columns)
}

fn source_rows(file: &MappedFile, reader: &SourceReader<'_>) -> Result<SourceRows<MappedColumn>> {
    let mut rows = SourceRows {
        rows: file.rows(),
        arrays: IndexMap::new(),
        missing: IndexMap::new(),
        join: Vec::new(),
        class: Vec::new(),
    };
    for SourceArray { name, .. } in reader.arrays() {
        let column = column_of(&name);
        rows.missing.extend(file.missing(&column)?.map(|missing| (name.clone(), missing)));
        rows.arrays.insert(name, file.column(&column)?);
    }
    if reader.table.join.is_some() {
        let parts = file.parts(JOIN)?;
        let values = parts.iter().filter_map(|part| part.as_string_opt::<i32>());
        rows.join = values.flat_map(|part| part.iter().map(|value| value.unwrap_or_default().to_string())).collect();
    }
    if reader.class().is_some() {
        let parts = file.parts(CLASS)?;
        rows.class = parts.iter().filter_map(|part| part.as_primitive_opt::<Int64Type>()).flatten().collect();
    }
    Ok(rows)
}
