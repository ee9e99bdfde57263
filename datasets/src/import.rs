//! Imports files of other formats to Parquet with the Hugging Face layout.
//!
//! Sources are read as streams, twice if the columns must be known first. The output appears only after all of it is
//! read.

mod archives;
mod arrow_files;
mod dialect;
mod exact;
mod folder;
mod idx;
mod json;
mod left_out;
mod lines;
mod messages;
mod names;
mod quotes;
mod table;
mod tar;
mod types;
mod webdataset;

use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
pub use left_out::LeftOut;
pub use types::{ColumnType, ColumnTypes};

use crate::beneath::{self, Refusal};
use crate::error::{DatasetError, Result, io_error};
use crate::feature::Features;
use crate::foreign;
use crate::read::matches_of;
use crate::regular::open_regular;
use crate::store::is_address;

/// What to import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportSource {
    /// Images, sounds or videos in a folder, all of one kind. `metadata.jsonl` or `metadata.csv` with a column
    /// `file_name` adds columns; without it, sub-folders are the classes of their files (`label`).
    Folder(PathBuf),
    /// One JSON object per line.
    JsonLines(PathBuf),
    /// Comma-separated (`.tsv`: tab-separated) with a header line.
    Csv(PathBuf),
    /// MNIST's idx format: images as bytes, optionally with classes.
    Idx {
        /// File with dimensions `[images, height, width]`, u8.
        images: PathBuf,
        /// File with dimension `[images]`, u8.
        labels: Option<PathBuf>,
    },
    /// Tar files whose members share a name up to the first dot: `000.png`, `000.txt`, `000.cls` are one row.
    WebDataset(Vec<PathBuf>),
    /// Arrow IPC files, such as those of `save_to_disk` of Hugging Face `datasets`, with the same columns.
    Arrow(Vec<PathBuf>),
}

/// The result of [`import`].
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Rows of the output.
    pub rows: u64,
    /// Its columns.
    pub features: Features,
    /// Files of the source that are not in any row, by reason.
    pub left_out: Vec<LeftOut>,
    /// What the reader should know: a separator that the file's name does not promise, columns that stay text.
    pub notes: Vec<String>,
    /// True if a file of the source ends early: the rows behind the damage are missing, and a note says so.
    pub is_damaged: bool,
}

/// Writes `source` to the Parquet file `out`. All source files may be gzipped.
///
/// Rows get a column `id` (file name, key in the tar, index) unless the source has one or is a plain table. The columns
/// of text tables get the type in `types`, else one that fits all values and changes none.
///
/// # Errors
/// [`DatasetError::Missing`], [`DatasetError::Import`] with file, line and reason, [`DatasetError::UnknownColumn`] for
/// a type of a column that is not there, and those of writing.
pub fn import(source: &ImportSource, types: &ColumnTypes, out: &Path) -> Result<Imported> {
    match source {
        ImportSource::Folder(folder) => folder::import(folder, types, out),
        ImportSource::JsonLines(file) => table::import(file, table::Format::JsonLines, types, out),
        ImportSource::Csv(file) => table::import(file, table::Format::Csv, types, out),
        ImportSource::Idx { images, labels } => {
            types.refuse(images)?;
            idx::import(images, labels.as_deref(), out)
        }
        ImportSource::WebDataset(files) => {
            files.first().map_or(Ok(()), |file| types.refuse(file))?;
            webdataset::import(files, out)
        }
        ImportSource::Arrow(files) => {
            files.first().map_or(Ok(()), |file| types.refuse(file))?;
            arrow_files::import(files, out)
        }
    }
}

impl ImportSource {
    /// Guesses the source from names: a folder, `.jsonl`, `.csv`, `.tsv`, `.tar`, `*idx3-ubyte`, each also with `.gz`, `.arrow`, or
    /// patterns of them. Several `.tar` files are one source, also those of a folder; so are `.arrow` files, and idx images
    /// and their labels, in either order.
    ///
    /// # Errors
    /// [`DatasetError::Missing`], [`DatasetError::Import`] if the names identify no source, [`DatasetError::Splits`] for a
    /// folder of several splits.
    pub fn detect(paths: &[PathBuf]) -> Result<ImportSource> {
        let mut named = Vec::with_capacity(paths.len());
        for path in paths {
            if is_address(path) {
                let reason = "an import reads files of the disk".into();
                return Err(DatasetError::Address { path: path.clone(), reason });
            }
            match path.try_exists().map_err(io_error(path, "open"))? {
                true => named.push(path.clone()),
                false => named.extend(matches_of(path)?),
            }
        }
        let paths = named.as_slice();
        let first = paths.first().cloned().unwrap_or_default();
        if let [folder] = paths
            && folder.is_dir()
        {
            return of_folder(folder);
        }
        let all = |ends: &[&str]| !paths.is_empty() && paths.iter().all(|path| ends_in(path, ends));
        let is_images = |path: &Path| bare_name(path).contains("idx3");
        match paths {
            _ if all(ARROW) => Ok(ImportSource::Arrow(paths.to_vec())),
            _ if all(ARCHIVES) => Ok(ImportSource::WebDataset(paths.to_vec())),
            [_] if all(JSON_LINES) => Ok(ImportSource::JsonLines(first)),
            [_] if all(CSV) => Ok(ImportSource::Csv(first)),
            [_] if is_images(&first) => Ok(ImportSource::Idx { labels: labels_beside(&first), images: first }),
            [a, b] if is_images(a) => Ok(ImportSource::Idx { images: a.clone(), labels: Some(b.clone()) }),
            [a, b] if is_images(b) => Ok(ImportSource::Idx { images: b.clone(), labels: Some(a.clone()) }),
            _ if all(&[".parquet"]) => Err(refusal(&first, "is a Parquet file already; use it as it is")),
            [_] => {
                let names = "is not a folder, .jsonl, .csv, .tsv, .arrow, .tar or idx3-ubyte file; name one of these";
                Err(refusal(&first, foreign::named(&head_of(&first)?).unwrap_or(names)))
            }
            _ => {
                let reason = format!(
                    "and {} more cannot be imported together: only .tar files can, .arrow files, and idx3-ubyte images \
                     with their idx1-ubyte labels; import one at a time",
                    paths.len().saturating_sub(1)
                );
                Err(refusal(&first, reason))
            }
        }
    }
}

/// The source in a folder: its Arrow files, else its tar files, else the folder itself.
fn of_folder(folder: &Path) -> Result<ImportSource> {
    let tables = arrow_files::within(folder)?;
    if !tables.is_empty() {
        return Ok(ImportSource::Arrow(tables));
    }
    let archives = archives::within(folder)?;
    let is_folder = archives.is_empty();
    Ok(if is_folder { ImportSource::Folder(folder.to_path_buf()) } else { ImportSource::WebDataset(archives) })
}

const ARROW: &[&str] = &[".arrow", ".feather"];
const ARCHIVES: &[&str] = &[".tar", ".tgz"];
const JSON_LINES: &[&str] = &[".jsonl", ".ndjson", ".json"];
const CSV: &[&str] = &[".csv", ".tsv"];

fn ends_in(path: &Path, ends: &[&str]) -> bool {
    ends.iter().any(|end| bare_name(path).ends_with(end))
}

/// True for a file that is imported on its own.
fn is_table(path: &Path) -> bool {
    [ARCHIVES, JSON_LINES, CSV].iter().any(|ends| ends_in(path, ends)) || bare_name(path).contains("idx3")
}

/// Lower-case file name without `.gz`.
fn bare_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.strip_suffix(".gz").map(str::to_string).unwrap_or(name)
}

/// The label file in MNIST's naming: `train-labels-idx1-ubyte` next to `train-images-idx3-ubyte`.
fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_string_lossy().replace("images", "labels").replace("idx3", "idx1");
    let labels = images.with_file_name(name);
    (labels != images && labels.exists()).then_some(labels)
}

/// Opens a regular file: a source is read more than once.
fn regular(path: &Path) -> Result<File> {
    open_regular(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => refusal(path, format!("cannot be imported: {error}")),
        _ => io_error(path, "open")(error),
    })
}

/// Refuses a file of an imported folder that is not a regular file or that a link leads to from elsewhere: what a stranger put
/// into a folder must not make an import read, and publish, other files of the machine.
fn ensure_beneath(folder: &Path, name: &Path) -> Result<()> {
    let refused = |reason: Refusal| refusal(&folder.join(name), format!("cannot be imported: {reason}"));
    beneath::open_file(folder, name).map(drop).map_err(refused)
}

/// The first bytes of a file; fewer if it is shorter.
fn head_of(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let file = regular(path)?;
    file.take(foreign::HEAD_BYTES).read_to_end(&mut head).map_err(io_error(path, "read"))?;
    Ok(head)
}

/// Opens a file, and unpacks it if its first bytes are those of gzip.
fn open(path: &Path) -> Result<Box<dyn Read>> {
    let head = head_of(path)?;
    if let Some(found) = foreign::pointer_or_page(&head) {
        return Err(refusal(path, found));
    }
    let file = BufReader::with_capacity(1 << 16, regular(path)?);
    if head.starts_with(&[0x1f, 0x8b]) { Ok(Box::new(MultiGzDecoder::new(file))) } else { Ok(Box::new(file)) }
}

/// Opens a file of text, and skips the mark (BOM) that some programs write first.
fn open_text(path: &Path) -> Result<Box<dyn Read>> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let mut file = open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(MARK.len() as u64).read_to_end(&mut head).map_err(io_error(path, "read"))?;
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Err(refusal(path, "is text in UTF-16; save it as UTF-8"));
    }
    if head == MARK {
        head.clear();
    }
    Ok(Box::new(Cursor::new(head).chain(file)))
}

fn refusal(path: &Path, reason: impl ToString) -> DatasetError {
    DatasetError::Import { path: path.to_path_buf(), line: None, reason: reason.to_string() }
}
