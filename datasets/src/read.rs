//! Datasets: one or more Parquet files whose columns can be joined, read as a stream of batches.
//!
//! Opening reads footers only. Reading goes row group by row group, decodes only the requested columns, and skips row
//! groups outside of the requested range. Memory is one page per column and one batch, for datasets of any size and
//! files with any claims.

mod batches;
mod chunk;
mod delta;
mod embed;
mod footer;
mod group;
pub(crate) mod guard;
mod hash_cache;
mod identity;
mod join;
mod links;
mod marks;
mod meter;
mod pages;
mod part;
mod paths;
mod projection;
mod row_batch;
mod selected;
mod size;
mod stated;
mod take;
mod thrift;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

pub use batches::Batches;
pub use embed::Embedded;
pub use hash_cache::FileVersion;
pub use identity::Content;
use join::Joined;
pub(crate) use part::Part;
pub(crate) use paths::{is_parquet, matches_of, split_named, split_of};
pub use row_batch::{Bound, RowBatch, UnreadableRow};
pub use selected::{SelectedBatch, SelectedRows};
pub use take::TakenRows;

use crate::cell::CellColumn;
use crate::data_file::DataFile;
use crate::error::{DatasetError, Result};
use crate::feature::{Feature, Features};
use crate::memory::memory;
use crate::row_set::RowSet;
use crate::spelling::nfc;

/// Rows on disk. Cloning shares the footers.
#[derive(Clone, Debug)]
pub struct Dataset {
    parts: Arc<Vec<Part>>,
    schema: SchemaRef,
    features: Features,
    rows: u64,
    fingerprint: String,
    folder: Option<PathBuf>,
    memory: u64,
}

/// Files whose footers are read together.
const FILES_AT_ONCE: usize = 64;
/// Decoding may hold one in this many parts of a job's memory.
const READING_SHARE: u64 = 8;
/// Limits of that part.
const READING_BYTES: Range<u64> = 64 << 20..1 << 30;

impl Dataset {
    /// Opens files and folders, in the order given. A path with a scheme, such as `s3://bucket/folder`, is the address of an
    /// object or of a folder of objects.
    ///
    /// A folder stands for the Parquet files in it, or in the folders below it, in order of path; for those that its
    /// card names; or, if it is the output of a finished job, for the shards of its manifest, which must match their
    /// entries. `DIR#test` is one split of a folder, `DIR#config/test` one of a configuration of its card, `DIR#all`
    /// everything; without it, a folder must have one split. A name that does not exist may be a pattern of names.
    /// Folders called `NAME=VALUE` directly above a file are columns. A dataset may have no rows; it has at least one
    /// file.
    ///
    /// # Errors
    /// [`DatasetError::NotAsListed`] for a shard that differs from the manifest, [`DatasetError::Mixed`] for a folder
    /// with a part of a job's output, or files of several jobs; [`DatasetError::Splits`], [`DatasetError::Missing`], [`DatasetError::Empty`],
    /// [`DatasetError::NotParquet`], [`DatasetError::Truncated`], [`DatasetError::Corrupt`],
    /// [`DatasetError::RepeatedColumn`], [`DatasetError::Unfinished`], or [`DatasetError::SchemaMismatch`] if the columns
    /// of the files cannot be joined.
    pub fn open(paths: &[PathBuf]) -> Result<Dataset> {
        let files = paths::files_from_paths(paths)?;
        let mut parts: Vec<Part> = Vec::with_capacity(files.len());
        let mut rows = 0;
        for files in files.chunks(FILES_AT_ONCE) {
            let mut sources = files.iter().map(|file| file.data_file()).collect::<Result<Vec<_>>>()?;
            DataFile::read_tails(&mut sources)?;
            for (file, source) in files.iter().zip(sources) {
                let mut part = Part::read(source, rows)?;
                part.folders.clone_from(&file.folders);
                part.listed = file.listed_hash();
                // Opening the file checked this sum.
                rows += part.rows;
                parts.push(part);
            }
        }
        paths::check(&files, &parts)?;
        let Joined { schema, features, places } = join::join(&parts)?;
        parts.iter_mut().zip(places).for_each(|(part, places)| part.places = places);
        let fingerprint = part::fingerprint(&parts);
        Ok(Dataset {
            parts: Arc::new(parts),
            schema,
            features,
            rows,
            fingerprint,
            folder: paths::common_folder(&files),
            memory: memory(),
        })
    }

    /// The same rows, for a job that may use `bytes` of memory instead of [`memory`]. Rows that need more than an
    /// eighth of it for decoding are unreadable. The boundaries of batches do not depend on it.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Dataset {
        Dataset { memory: bytes, ..self }
    }

    /// The same rows, for a reader of files: text in these columns, also in lists, is the paths of files. With each column
    /// comes what the codec that reads it declares, such as `Image` or `List(Image)`. Columns that hold no text, and codecs of
    /// other cells, change nothing.
    #[must_use]
    pub fn with_files<'c>(mut self, columns: impl IntoIterator<Item = (&'c str, &'c str)>) -> Dataset {
        for (column, declared) in columns {
            if let Some(files) = Feature::declared(declared) {
                self.features.name_files(column, &files);
            }
        }
        self
    }

    fn reading_limit(&self) -> u64 {
        (self.memory / READING_SHARE).clamp(READING_BYTES.start, READING_BYTES.end)
    }

    /// Arrow schema of all files together, with the metadata of the first one that has rows.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The feature of each column, in column order.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Number of rows of all files together.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Hex blake3 of the files' names, sizes, row counts, schema and footers. It identifies the data without reading
    /// it. Moving the folder does not change it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The identity of the content, without names and paths.
    ///
    /// Reads all files as a whole, and all files that media cells link to, unless the user's cache has the hash of
    /// exactly these versions (device, inode, length and times). Objects are not read: the hash in the manifest of a job
    /// stands for a shard, and length and ETag (without one, the time of the last change) for any other object.
    ///
    /// # Errors
    /// [`DatasetError::Changed`] if a file has changed since it was opened, [`DatasetError::LinkedChanged`],
    /// [`DatasetError::Io`].
    pub fn content(&self) -> Result<Content> {
        Content::of(self)
    }

    /// Checks that the files that media cells link to have not changed since [`Dataset::content`].
    ///
    /// # Errors
    /// [`DatasetError::LinkedChanged`].
    pub fn check_linked(&self, content: &Content) -> Result<()> {
        content.check_linked(self)
    }

    /// The folder that paths in media cells are relative to; `None` if the files are in several folders.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The files, in the order of their rows.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|part| part.source.path.as_path())
    }

    /// The feature of a column.
    ///
    /// # Errors
    /// [`DatasetError::UnknownColumn`], with all names and the most similar one.
    pub fn column(&self, name: &str) -> Result<&Feature> {
        self.features.get(&nfc(name)).ok_or_else(|| self.unknown_column(name))
    }

    /// Streams `rows` (clipped to the dataset) of the named columns in the given order; all columns for `None`.
    ///
    /// A batch has as many rows as `bound` allows, also across files, unless it reaches its bound of bytes. Equal
    /// ranges of equal files give equal batches. Each batch lists its unreadable rows. The stream ends after an error.
    ///
    /// # Errors
    /// [`DatasetError::UnknownColumn`]. From the stream: [`DatasetError::Changed`] and [`DatasetError::Io`].
    pub fn read(&self, columns: Option<&[&str]>, rows: Range<u64>, bound: impl Into<Bound>) -> Result<Batches> {
        self.read_sections(columns, rows, u64::MAX, bound)
    }

    /// Streams `rows` like [`Dataset::read`], in sections of `section_rows` rows (the last one may be shorter).
    ///
    /// No batch holds rows of two sections. A section gives the batches that [`Dataset::read`] gives for its rows alone,
    /// whatever precedes it, but the file's pages are decoded once and not once per section.
    ///
    /// # Errors
    /// As [`Dataset::read`].
    pub fn read_sections(
        &self,
        columns: Option<&[&str]>,
        rows: Range<u64>,
        section_rows: u64,
        bound: impl Into<Bound>,
    ) -> Result<Batches> {
        let indices = self.indices(columns)?;
        Ok(Batches::new(self, &indices, rows, section_rows.max(1), bound.into()))
    }

    /// Streams a set of rows of the named columns, all columns for `None`, in batches within `bound`. Media cells that hold
    /// only a path get the bytes of their file.
    ///
    /// # Errors
    /// As [`Dataset::read`].
    pub fn read_set(&self, columns: Option<&[&str]>, rows: &RowSet, bound: Bound) -> Result<SelectedRows> {
        Ok(SelectedRows::new(self, self.indices(columns)?, rows, bound))
    }

    /// The given rows, in the given order and with repetitions, as batches within `bound`.
    ///
    /// Skips row groups without a requested row. Memory is the rows themselves, one batch and one page per column.
    ///
    /// # Errors
    /// As [`Dataset::read`]; [`DatasetError::Corrupt`] if a row cannot be read; [`DatasetError::Internal`] for a row
    /// past the end.
    pub fn take(&self, columns: Option<&[&str]>, rows: &[u64], bound: impl Into<Bound>) -> Result<TakenRows> {
        take::take(self, &self.indices(columns)?, rows, bound.into())
    }

    /// A column of a batch read from this dataset, as cells; linked files are looked up in [`Dataset::folder`].
    ///
    /// # Errors
    /// [`DatasetError::UnknownColumn`] or [`DatasetError::ColumnType`].
    pub fn cells(&self, batch: &RecordBatch, column: &str) -> Result<CellColumn> {
        let feature = self.column(column)?;
        let array = batch.column_by_name(&nfc(column)).ok_or_else(|| {
            DatasetError::unknown_column(column, batch.schema().fields().iter().map(|field| field.name().clone()))
        })?;
        Ok(CellColumn::new(array, feature).map_err(|error| error.in_column(column))?.with_origin(column, self.folder()))
    }

    /// The batch with the bytes of all media cells that hold only a path, so that it can be written elsewhere. Rows
    /// whose file is missing, or outside of the dataset's folder, become unreadable. Costs nothing if all cells hold
    /// bytes. [`Batches::embedded`] does the same within a bound.
    ///
    /// # Errors
    /// [`DatasetError::ColumnType`] for a media column that can hold none; [`DatasetError::Internal`] past 2 GiB.
    pub fn embed(&self, batch: RowBatch) -> Result<RowBatch> {
        embed::embed(self, batch)
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn indices(&self, columns: Option<&[&str]>) -> Result<Vec<usize>> {
        let index = |name: &&str| self.features.get_index_of(&nfc(name)).ok_or_else(|| self.unknown_column(name));
        match columns {
            Some(names) => names.iter().map(index).collect(),
            None => Ok((0..self.features.len()).collect()),
        }
    }

    fn unknown_column(&self, name: &str) -> DatasetError {
        let mut error = DatasetError::unknown_column(name, self.features.keys());
        if let DatasetError::UnknownColumn { dataset, .. } = &mut error {
            let file = self.files().next().map(Path::to_path_buf);
            *dataset = if self.parts.len() == 1 { file } else { self.folder.clone().or(file) };
        }
        error
    }

    fn projected_schema(&self, indices: &[usize]) -> SchemaRef {
        // An unreadable row is null.
        let field = |index: &usize| Arc::new(self.schema.field(*index).clone().with_nullable(true));
        let fields: Vec<_> = indices.iter().map(field).collect();
        Arc::new(Schema::new_with_metadata(fields, self.schema.metadata().clone()))
    }
}
