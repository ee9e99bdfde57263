//! A folder with metadata, which names the files and sets the rows and their order.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};

use super::super::table::Table;
use super::super::{Imported, refusal};
use super::Found;
use crate::beneath::Beneath;
use crate::cell::{OwnedCell, column_from_cells, media_column};
use crate::error::{DatasetError, Result};
use crate::feature::{Feature, Features};
use crate::key::texts;
use crate::spelling::nfc;
use crate::write::TableWriter;

const FILE_NAME: &str = "file_name";
/// Bytes of files that are in memory at once.
const BATCH_BYTES: u64 = 32 << 20;

/// Imports the files that the metadata names.
pub(super) fn import(mut found: Found, metadata: &Path, table: Table, out: &Path) -> Result<Imported> {
    let Table { schema, batches, notes } = table;
    if schema.column_with_name(FILE_NAME).is_none() {
        return Err(refusal(metadata, format!("has no column `{FILE_NAME}` that names the file of each row; add it")));
    }
    if schema.column_with_name(found.column).is_some() {
        return Err(refusal(
            metadata,
            format!("has a column `{}`, which is the name of the column of files; rename it", found.column),
        ));
    }
    let own_id = schema.column_with_name("id").is_some();
    let (target, features) = target_schema(&found, &schema, own_id);
    let target = Arc::new(target);
    let mut writer = TableWriter::create(out, &target, &features)?;
    let paths: HashMap<String, PathBuf> =
        found.files.iter().map(|file| (file.name.clone(), file.path.clone())).collect();
    let mut named = BTreeSet::new();
    let mut first_row = 0;
    for batch in batches {
        let batch = batch?;
        let names = file_names(metadata, &batch, first_row)?;
        first_row += names.len() as u64;
        let mut start = 0;
        while start < names.len() {
            let next = found.next_files(&paths, &names[start..])?;
            let count = next.kept.len();
            let part = filter_record_batch(&batch.slice(start, count), &BooleanArray::from(next.kept.clone()))
                .map_err(|error| DatasetError::internal("importing a folder", error))?;
            let files: Vec<String> = names[start..]
                .iter()
                .zip(&next.kept)
                .filter(|(_, kept)| **kept)
                .map(|(name, _)| name.clone())
                .collect();
            let mut columns: Vec<ArrayRef> = Vec::new();
            if !own_id {
                columns.push(Arc::new(StringArray::from(files.clone())));
            }
            columns.push(media(files, &next.contents)?);
            let others = schema.fields().iter().zip(part.columns()).filter(|(field, _)| field.name() != FILE_NAME);
            columns.extend(others.map(|(_, column)| column.clone()));
            let rows = RecordBatch::try_new(target.clone(), columns);
            writer.write(&rows.map_err(|error| DatasetError::internal("importing a folder", error))?)?;
            start += count;
        }
        named.extend(names.iter().map(|name| plain(name)));
    }
    found.has_rows(writer.rows())?;
    for file in found.files.iter().filter(|file| !named.contains(&file.name)) {
        found.left_out.note("not named by the metadata", &file.name);
    }
    Ok(Imported { rows: writer.finish()?.rows, features, left_out: found.left_out.finish(), notes, is_damaged: false })
}

/// The columns: `id` (unless the metadata has one), the media, the metadata's other columns.
fn target_schema(found: &Found, schema: &Schema, own_id: bool) -> (Schema, Features) {
    let id = (!own_id).then(|| Arc::new(Field::new("id", DataType::Utf8, true)));
    let media = Arc::new(Field::new(found.column, crate::feature::media_type(), true));
    let others = schema.fields().iter().filter(|field| field.name() != FILE_NAME).cloned();
    let target = Schema::new(id.into_iter().chain([media]).chain(others).collect::<Vec<_>>());
    let mut features = Features::from_schema(&target);
    features.0.insert(found.column.into(), found.feature.clone());
    (target, features)
}

fn file_names(metadata: &Path, batch: &RecordBatch, first_row: u64) -> Result<Vec<String>> {
    let column = batch.column_by_name(FILE_NAME).ok_or_else(|| refusal(metadata, "lost a column"))?;
    let name = |(row, name): (u64, Option<String>)| {
        let row = first_row + row + 1;
        name.ok_or_else(|| refusal(metadata, format!("row {row} has no `{FILE_NAME}`; name a file or delete the row")))
    };
    (0..).zip(texts(column)?).map(name).collect()
}

/// The next files that metadata names.
struct Next {
    /// For each name, whether its file is in `contents`.
    kept: Vec<bool>,
    contents: Vec<Vec<u8>>,
}

impl Found {
    /// Reads the next files, up to [`BATCH_BYTES`]. `paths` has the files by composed name.
    fn next_files(&mut self, paths: &HashMap<String, PathBuf>, names: &[String]) -> Result<Next> {
        let mut next = Next { kept: Vec::new(), contents: Vec::new() };
        let mut bytes = 0;
        for name in names {
            // A name in the metadata may be spelled in another form, or lead through links and `..`.
            let path = paths.get(&plain(name)).map_or(Path::new(name), PathBuf::as_path);
            let file = self.open(path);
            bytes += file.as_ref().map_or(0, |file| file.size_bytes());
            if bytes > BATCH_BYTES && !next.contents.is_empty() {
                break;
            }
            let content = self.kept(name, file.and_then(Beneath::read))?;
            next.kept.push(content.is_some());
            next.contents.extend(content);
        }
        Ok(next)
    }
}

/// A name of the metadata as the folder has it: composed, without `.`.
fn plain(name: &str) -> String {
    if name.starts_with('/') {
        return name.to_string();
    }
    nfc(name).split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

/// A column of files with their names.
fn media(names: Vec<String>, contents: &[Vec<u8>]) -> Result<ArrayRef> {
    let cells: Vec<_> = contents.iter().map(|bytes| Some(OwnedCell::Bytes(bytes.clone()))).collect();
    let bytes = column_from_cells(&cells, &Feature::Value("binary".into()))?;
    Ok(media_column(bytes, Arc::new(StringArray::from(names))))
}
