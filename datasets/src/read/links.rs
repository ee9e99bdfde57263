//! The files that media cells link to, as a part of the identity of a dataset.

use std::ops::Range;
use std::path::Path;

use super::hash_cache::{cache_folder, recall, remember};
use super::{Dataset, Part};
use crate::beneath::{Beneath, Refusal};
use crate::error::{DatasetError, Result};
use crate::feature::CellKind;
use crate::spelling::nfc;

/// Rows per batch while paths are read.
const READ_ROWS: usize = 1024;
/// Stands for a file that cannot be read.
const UNREADABLE: &[u8] = b"unreadable";

/// The linked files of a dataset at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Linked {
    /// Hash of their content, in the order of rows and columns.
    pub(super) content: blake3::Hash,
    /// Hash of their versions, in the same order.
    versions: blake3::Hash,
}

/// Reads the linked files of a dataset; `None` if no cell links. Skips reading if the user's cache has the hash of exactly
/// these versions of them.
pub(super) fn linked(dataset: &Dataset) -> Result<Option<Linked>> {
    linked_with(dataset, cache_folder().as_deref())
}

fn linked_with(dataset: &Dataset, cache: Option<&Path>) -> Result<Option<Linked>> {
    let links = Links::of(dataset);
    let Some(Versions { hash: versions, settled }) = links.versions()? else { return Ok(None) };
    let entry = cache.map(|cache| cache.join(format!("links-{versions}.json")));
    if let Some(content) = entry.as_deref().and_then(|entry| recall(&versions.to_string(), entry)) {
        return Ok(Some(Linked { content, versions }));
    }
    let linked = Linked { content: links.content()?, versions };
    check(dataset, &linked)?;
    if let Some(entry) = entry.filter(|_| settled) {
        // Best effort: without an entry, the next call reads the files again.
        let _ = remember(versions.to_string(), linked.content, &entry);
    }
    Ok(Some(linked))
}

/// Checks that the linked files are still the same versions.
pub(super) fn check(dataset: &Dataset, linked: &Linked) -> Result<()> {
    match Links::of(dataset).versions()? {
        Some(Versions { hash, .. }) if hash == linked.versions => Ok(()),
        _ => Err(DatasetError::LinkedChanged { folder: dataset.folder().unwrap_or(Path::new("")).to_path_buf() }),
    }
}

struct Versions {
    hash: blake3::Hash,
    /// True if another change of any file would change its time stamps.
    settled: bool,
}

/// Where a dataset may have cells that link.
struct Links<'d> {
    dataset: &'d Dataset,
    columns: Vec<&'d str>,
    ranges: Vec<Range<u64>>,
}

impl<'d> Links<'d> {
    fn of(dataset: &'d Dataset) -> Links<'d> {
        let media = dataset.features().iter();
        let media = media.filter(|(_, feature)| feature.is_file() || feature.cell() == Some(CellKind::Files));
        let columns: Vec<&str> = media.map(|(name, _)| name.as_str()).collect();
        let ranges = dataset.parts().iter().flat_map(|part| ranges(part, &columns)).collect();
        Links { dataset, columns, ranges }
    }

    /// Opens the file of each link.
    fn each(&self, mut visit: impl FnMut(Result<Beneath, Refusal>)) -> Result<()> {
        for rows in &self.ranges {
            for batch in self.dataset.read(Some(&self.columns), rows.clone(), READ_ROWS)? {
                let batch = batch?;
                for name in &self.columns {
                    // A job that uses a column of another type reports it.
                    let Ok(cells) = self.dataset.cells(&batch.rows, name) else { continue };
                    for path in (0..cells.len()).flat_map(|row| cells.links(row)) {
                        visit(match self.dataset.folder() {
                            Some(folder) => Beneath::open(folder, Path::new(path)),
                            None => Err(Refusal::Outside),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// The versions of the files; `None` without links.
    fn versions(&self) -> Result<Option<Versions>> {
        let mut hasher = blake3::Hasher::new();
        let mut settled = true;
        self.each(|file| match file {
            Ok(file) => {
                settled &= file.is_settled();
                hasher.update(file.mark().as_bytes());
            }
            Err(_) => drop(hasher.update(UNREADABLE)),
        })?;
        Ok((hasher.count() > 0).then(|| Versions { hash: hasher.finalize(), settled }))
    }

    /// Hash of the content of the files.
    fn content(&self) -> Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        self.each(|file| match file.and_then(Beneath::hash) {
            Ok(hash) => drop(hasher.update(hash.as_bytes())),
            Err(_) => drop(hasher.update(UNREADABLE)),
        })?;
        Ok(hasher.finalize())
    }
}

/// The row groups of a file that may have cells without bytes, as rows of the dataset.
fn ranges<'p>(part: &'p Part, columns: &'p [&str]) -> impl Iterator<Item = Range<u64>> + 'p {
    let groups = part.row_groups().zip(part.metadata.metadata().row_groups());
    let linking = groups.filter(|(_, group)| {
        columns.iter().any(|column| {
            let leaves = group
                .columns()
                .iter()
                .filter(|leaf| leaf.column_path().parts().first().is_some_and(|root| nfc(root) == *column));
            let mut bytes =
                leaves.filter(|leaf| leaf.column_path().parts().last().is_some_and(|name| name == "bytes")).peekable();
            // Without statistics, any cell may link. A column without `bytes` has only paths, or is plain binary.
            bytes.peek().is_none()
                || bytes.any(|leaf| leaf.statistics().and_then(|known| known.null_count_opt()) != Some(0))
        })
    });
    linking.map(|(rows, _)| rows.start + part.first_row..rows.end + part.first_row)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use arrow::array::{ArrayRef, RecordBatch, StringArray};

    use super::*;
    use crate::{Feature, Features, TableWriter};

    /// A dataset with a link to the file `a`.
    fn dataset(folder: &Path) -> Dataset {
        let cells: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let rows = RecordBatch::try_from_iter([("image", cells)]).unwrap();
        let features: Features = [("image".to_owned(), Feature::Image)].into_iter().collect();
        let path = folder.join("rows.parquet");
        let mut writer = TableWriter::create(&path, &rows.schema(), &features).unwrap();
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        Dataset::open(&[path]).unwrap()
    }

    #[test]
    fn the_cache_holds_for_exactly_these_versions() {
        let place = tempfile::tempdir().unwrap();
        let cache = place.path().join("cache");
        let file = place.path().join("a");
        std::fs::write(&file, "one").unwrap();
        let dataset = dataset(place.path());
        let known = linked_with(&dataset, Some(&cache)).unwrap().unwrap();
        assert!(!cache.exists(), "the file may still change within the time stamp's resolution");

        let mark = blake3::hash(b"a mark of the cache");
        let entry = cache.join(format!("links-{}.json", known.versions));
        remember(known.versions.to_string(), mark, &entry).unwrap();
        assert_eq!(linked_with(&dataset, Some(&cache)).unwrap().unwrap().content, mark);
        let earlier = SystemTime::now() - Duration::from_secs(60);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(earlier).unwrap();
        assert_eq!(linked_with(&dataset, Some(&cache)).unwrap().unwrap().content, known.content);
    }
}
