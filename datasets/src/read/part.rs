//! One file of a dataset.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::Schema;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::ParquetMetaDataReader;

use super::guard::guarded;
use super::paths::FolderColumn;
use super::size::fixed_bytes;
use super::{footer, stated};
use crate::beneath::MAX_CELL_BYTES;
use crate::data_file::DataFile;
use crate::error::{DatasetError, Result};
use crate::spelling::nfc;

/// A file with its footer, and the position of its rows in the dataset.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) source: DataFile,
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) first_row: u64,
    pub(crate) rows: u64,
    /// Where the file has each column of its dataset, which sets it.
    pub(super) places: Arc<[Place]>,
    /// Columns that the names of its folders give, which the dataset sets.
    pub(super) folders: Vec<FolderColumn>,
    /// The hash of the file that a manifest lists, which the dataset sets.
    pub(super) listed: Option<blake3::Hash>,
    footer_hash: blake3::Hash,
}

/// Where a file has a column of the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the column of this index.
    File(usize),
    /// In the name of a folder: the same text in each row.
    Folder(Option<String>),
    /// Nowhere: the file has no rows.
    Nowhere,
}

impl Part {
    /// Reads the footer of a file.
    pub(crate) fn open(path: &Path, first_row: u64) -> Result<Part> {
        Part::read(DataFile::new(path)?, first_row)
    }

    /// Reads the footer.
    pub(crate) fn read(mut source: DataFile, first_row: u64) -> Result<Part> {
        let footer = source.footer()?;
        source.forget_tail();
        let path = &source.path.clone();
        let corrupt = |reason: String| DatasetError::Corrupt { path: path.clone(), row: 0, reason };
        if let Some(column) = footer::check_encoded(&footer).map_err(corrupt)? {
            let what = format!("the encrypted column `{column}`");
            return Err(DatasetError::Unsupported { path: path.to_path_buf(), what });
        }
        let refused = |reason: String| match reason.contains("not supported") {
            true => {
                DatasetError::Unsupported { path: path.to_path_buf(), what: format!("the type of a column ({reason})") }
            }
            false => corrupt(reason),
        };
        let parquet = guarded(|| ParquetMetaDataReader::decode_metadata(&footer)).map_err(refused)?;
        let rows = footer::check_layout(&source, &parquet)?;
        if first_row.checked_add(rows).is_none() {
            return Err(corrupt(format!("claims {rows} rows, and all files together would have too many to count")));
        }
        stated::check(&parquet).map_err(corrupt)?;
        let options = ArrowReaderOptions::new();
        let metadata = guarded(|| ArrowReaderMetadata::try_new(Arc::new(parquet), options)).map_err(refused)?;
        check_columns(path, metadata.schema())?;
        let footer_hash = blake3::hash(&footer);
        let (places, folders, listed) = Default::default();
        Ok(Part { source, metadata, first_row, rows, places, folders, listed, footer_hash })
    }

    /// Rows of each row group, counted within the file.
    pub(crate) fn row_groups(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        row_groups(&self.metadata)
    }

    /// Adds the columns of its folders to a hash of the data, if there are any.
    pub(super) fn hash_folders(&self, hasher: &mut blake3::Hasher) {
        for FolderColumn { name, value } in &self.folders {
            for text in [Some(name), value.as_ref()].into_iter().flatten() {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
    }

    /// The index in this file of a column of the dataset; `None` if the file does not hold it.
    pub(crate) fn own_column(&self, column: usize) -> Option<usize> {
        match self.places.get(column)? {
            Place::File(index) => Some(*index),
            Place::Folder(_) | Place::Nowhere => None,
        }
    }
}

fn row_groups(metadata: &ArrowReaderMetadata) -> impl Iterator<Item = Range<u64>> + '_ {
    let mut start = 0;
    metadata.metadata().row_groups().iter().map(move |group| {
        let range = start..start + u64::try_from(group.num_rows()).unwrap_or(0);
        start = range.end;
        range
    })
}

/// Checks that column names are unique, and that values of fixed size are not too large, because nulls take as much.
fn check_columns(path: &Path, schema: &Schema) -> Result<()> {
    let mut known = BTreeSet::new();
    for field in schema.fields() {
        let column = field.name().clone();
        if !known.insert(nfc(field.name())) {
            return Err(DatasetError::RepeatedColumn { path: path.to_path_buf(), line: None, column });
        }
        let bytes = fixed_bytes(field.data_type());
        if bytes > MAX_CELL_BYTES {
            let what = format!("column `{column}` of {bytes} bytes a row (the most is {MAX_CELL_BYTES})");
            return Err(DatasetError::Unsupported { path: path.to_path_buf(), what });
        }
    }
    Ok(())
}

/// Identity of the data, from footers only.
pub(super) fn fingerprint(parts: &[Part]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        let name = part.source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(&part.source.size_bytes.to_le_bytes());
        hasher.update(&part.rows.to_le_bytes());
        // The footer holds schema, metadata, statistics and the position of every page.
        hasher.update(part.footer_hash.as_bytes());
        part.hash_folders(&mut hasher);
    }
    hasher.finalize().to_hex().to_string()
}
