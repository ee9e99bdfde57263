//! Reads columns of lists of files.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef};

use super::lists::Level;
use super::{LinkedFiles, bytes_and_paths, bytes_at, plain};
use crate::error::Result;
use crate::feature::Feature;

/// The files of a column by row, stored in it or named by it.
#[derive(Clone, Debug)]
pub(super) struct FileLists {
    level: Arc<Level>,
    bytes: Option<ArrayRef>,
    linked: Option<LinkedFiles>,
    /// One slot per row, so that a cell can be borrowed from the column like any other.
    gathered: Arc<Vec<OnceLock<Vec<Vec<u8>>>>>,
}

impl FileLists {
    /// Reads `array`, a list array of files.
    pub(super) fn new(array: &ArrayRef, feature: &Feature) -> Result<FileLists> {
        let (level, items) = Level::new(array)?;
        let item = feature.item().unwrap_or_else(|| Feature::from_arrow(items.data_type()));
        let (bytes, linked) = bytes_and_paths(&plain(&items)?, &item)?;
        let gathered = Arc::new((0..array.len()).map(|_| OnceLock::new()).collect());
        Ok(FileLists { level: Arc::new(level), bytes, linked, gathered })
    }

    pub(super) fn set_folder(&mut self, folder: Option<&Path>) {
        self.linked = self.linked.take().map(|linked| linked.in_folder(folder));
    }

    /// The files of a row, or the reason why they cannot be read.
    pub(super) fn get(&self, row: usize) -> Result<&[Vec<u8>], String> {
        let slot = &self.gathered[row];
        if let Some(files) = slot.get() {
            return Ok(files);
        }
        let files = self.gather(self.level.items(row))?;
        Ok(slot.get_or_init(|| files))
    }

    /// Bytes of the files that a row names, but does not hold.
    pub(super) fn linked_bytes(&self, row: usize) -> u64 {
        self.linked_items(row).map(|(linked, item)| linked.size_bytes(item)).sum()
    }

    /// The paths that a row names instead of holding the bytes.
    pub(super) fn links(&self, row: usize) -> impl Iterator<Item = &str> {
        self.linked_items(row).filter_map(|(linked, item)| linked.path(item))
    }

    /// The items of a row's list that hold no bytes.
    fn linked_items(&self, row: usize) -> impl Iterator<Item = (&LinkedFiles, usize)> {
        let holds = |item: usize| self.bytes.as_ref().is_some_and(|bytes| bytes.is_valid(item));
        self.level.items(row).filter(move |item| !holds(*item)).filter_map(|item| Some((self.linked.as_ref()?, item)))
    }

    fn gather(&self, items: Range<usize>) -> Result<Vec<Vec<u8>>, String> {
        let first = items.start;
        items
            .map(|item| self.file(item).map_err(|reason| format!("file {} of its list {reason}", item - first)))
            .collect()
    }

    fn file(&self, item: usize) -> Result<Vec<u8>, String> {
        if let Some(bytes) = self.bytes.as_ref().filter(|bytes| bytes.is_valid(item)) {
            return Ok(bytes_at(bytes, item).to_vec());
        }
        let linked = self.linked.as_ref().map(|linked| linked.get(item)).transpose()?.flatten();
        linked.map(<[u8]>::to_vec).ok_or_else(|| "is null".into())
    }
}
