//! A folder of images, sounds or videos.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::left_out::Tally;
use super::{Imported, is_table, names, refusal, table};
use crate::beneath::{Beneath, Refusal};
use crate::cell::{OwnedCell, column_from_cells, media_column};
use crate::error::{DatasetError, Result, io_error};
use crate::feature::{Feature, Features};
use crate::key::texts;
use crate::rows::{Rows, Value};
use crate::write::TableWriter;

const FILE_NAME: &str = "file_name";
const BATCH_ROWS: usize = 1024;
/// Bytes of files that are in memory at once.
const BATCH_BYTES: u64 = 32 << 20;
const METADATA: [(&str, table::Format); 2] =
    [("metadata.jsonl", table::Format::JsonLines), ("metadata.csv", table::Format::Csv)];

/// Media files below a folder: paths relative to it, sorted, all of one kind.
struct Found {
    folder: PathBuf,
    files: Vec<String>,
    column: &'static str,
    feature: Feature,
    left_out: Tally,
}

pub(super) fn import(folder: &Path, out: &Path) -> Result<Imported> {
    let metadata = METADATA.into_iter().find(|(name, _)| folder.join(name).exists());
    let found = Found::below(folder, metadata.map(|(name, _)| name))?;
    match metadata {
        Some((name, format)) => with_metadata(found, &folder.join(name), format, out),
        None => with_labels(found, out),
    }
}

/// Imports a folder without metadata: sub-folders are the classes of their files.
fn with_labels(found: Found, out: &Path) -> Result<Imported> {
    let class =
        |file: &str| file.rsplit_once('/').map(|(parent, _)| parent.rsplit('/').next().unwrap_or(parent).to_string());
    let classes: BTreeSet<String> = found.files.iter().filter_map(|file| class(file)).collect();
    let mut classes: Vec<String> = classes.into_iter().collect();
    // Sort numbers by value: 10 after 9.
    if classes.iter().all(|class| class.parse::<u64>().is_ok()) {
        classes.sort_by_key(|class| class.parse::<u64>().unwrap_or(0));
    }
    let mut features = Features::default();
    features.0.insert("id".into(), Feature::Value("string".into()));
    features.0.insert(found.column.into(), found.feature.clone());
    if !classes.is_empty() {
        features.0.insert("label".into(), Feature::ClassLabel { names: classes.clone() });
    }
    let mut rows = Rows::create(out, features)?;
    for file in &found.files {
        let mut row = vec![Value::text(file), Value::File { bytes: found.bytes(file)?, name: file.clone() }];
        if !classes.is_empty() {
            let index = class(file).and_then(|class| classes.iter().position(|other| *other == class));
            row.push(index.map_or(Value::Null, |index| Value::Cell(OwnedCell::I64(index as i64))));
        }
        rows.push(row)?;
    }
    let (rows, features) = rows.finish()?;
    Ok(Imported { rows, features, left_out: found.left_out.finish() })
}

/// Imports a folder with metadata, which names the files and sets the rows and their order.
fn with_metadata(mut found: Found, metadata: &Path, format: table::Format, out: &Path) -> Result<Imported> {
    let (schema, batches) = table::read(metadata, format, BATCH_ROWS)?;
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
    let mut named = BTreeSet::new();
    for batch in batches {
        let batch = batch?;
        let names = file_names(metadata, &batch, writer.rows())?;
        let mut start = 0;
        while start < names.len() {
            let (files, contents) = found.next_files(&names[start..])?;
            let mut columns: Vec<ArrayRef> = Vec::new();
            if !own_id {
                columns.push(Arc::new(StringArray::from(files.to_vec())));
            }
            columns.push(media(files, &contents)?);
            let part = batch.slice(start, files.len());
            let others = schema.fields().iter().zip(part.columns()).filter(|(field, _)| field.name() != FILE_NAME);
            columns.extend(others.map(|(_, column)| column.clone()));
            let rows = RecordBatch::try_new(target.clone(), columns);
            writer.write(&rows.map_err(|error| DatasetError::internal("importing a folder", error))?)?;
            start += files.len();
        }
        named.extend(names);
    }
    for file in found.files.iter().filter(|file| !named.contains(*file)) {
        found.left_out.note("not named by the metadata", file);
    }
    Ok(Imported { rows: writer.finish()?.rows, features, left_out: found.left_out.finish() })
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

impl Found {
    fn below(folder: &Path, metadata: Option<&str>) -> Result<Found> {
        let mut files = Vec::new();
        let mut left_out = Tally::default();
        walk(folder, "", &mut files, &mut left_out)?;
        files.sort();
        let kind = |file: &String| names::media(&names::extension(Path::new(file)));
        let mut kinds = files.iter().filter_map(|file| kind(file).map(|kind| (file.clone(), kind)));
        let Some((first, (column, feature))) = kinds.next() else {
            let reason = "holds no image, sound or video (png, jpg, gif, wav, flac, mp3, mp4 ...)";
            let way_out = match files.iter().find(|file| is_table(Path::new(file))) {
                Some(table) => format!("; to import {table}, name the file instead of the folder"),
                None => "; name the folder that holds the files".into(),
            };
            return Err(refusal(folder, format!("{reason}{way_out}")));
        };
        if let Some((other, (other_column, _))) = kinds.find(|(_, (other, _))| *other != column) {
            let reason = format!("mixes {column} ({first}) and {other_column} ({other}); import a folder of each");
            return Err(refusal(folder, reason));
        }
        for file in files.iter().filter(|file| kind(file).is_none() && metadata != Some(file.as_str())) {
            left_out.note("not an image, sound or video by name", file);
        }
        files.retain(|file| kind(file).is_some());
        Ok(Found { folder: folder.to_path_buf(), files, column, feature, left_out })
    }

    fn open(&self, file: &str) -> Result<Beneath> {
        Beneath::open(&self.folder, Path::new(file)).map_err(|refusal| self.refused(file, &refusal))
    }

    fn bytes(&self, file: &str) -> Result<Vec<u8>> {
        self.open(file)?.read().map_err(|refusal| self.refused(file, &refusal))
    }

    fn refused(&self, file: &str, reason: &Refusal) -> DatasetError {
        match reason {
            Refusal::Missing => DatasetError::Missing { path: self.folder.join(file) },
            other => refusal(&self.folder.join(file), format!("cannot be imported: {other}")),
        }
    }

    /// Reads the next files, up to [`BATCH_BYTES`].
    fn next_files<'a>(&self, names: &'a [String]) -> Result<(&'a [String], Vec<Vec<u8>>)> {
        let mut contents = Vec::new();
        let mut bytes = 0;
        for name in names {
            let file = self.open(name)?;
            bytes += file.version.size_bytes;
            if bytes > BATCH_BYTES && !contents.is_empty() {
                break;
            }
            contents.push(file.read().map_err(|refusal| self.refused(name, &refusal))?);
        }
        Ok((&names[..contents.len()], contents))
    }
}

/// A column of files with their names.
fn media(files: &[String], contents: &[Vec<u8>]) -> Result<ArrayRef> {
    let cells: Vec<_> = contents.iter().map(|bytes| Some(OwnedCell::Bytes(bytes.clone()))).collect();
    let bytes = column_from_cells(&cells, &Feature::Value("binary".into()))?;
    Ok(media_column(bytes, Arc::new(StringArray::from(files.to_vec()))))
}

/// Collects the relative names of all files, with `/`. Records skipped ones.
fn walk(folder: &Path, prefix: &str, files: &mut Vec<String>, left_out: &mut Tally) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(io_error(folder, "open"))? {
        let path = entry.map_err(io_error(folder, "list"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let relative = format!("{prefix}{name}");
        if name.starts_with('.') {
            left_out.note("hidden", &relative);
        } else if !path.is_dir() {
            files.push(relative);
        } else if path.is_symlink() {
            // Links to folders could form cycles.
            left_out.note("linked to a folder", &relative);
        } else {
            walk(&path, &format!("{relative}/"), files, left_out)?;
        }
    }
    Ok(())
}
