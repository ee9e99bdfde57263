//! A folder of images, sounds or videos.

mod metadata;
mod walk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::left_out::Tally;
use super::types::ColumnTypes;
use super::{Imported, ensure_beneath, is_table, names, refusal, table};
use crate::beneath::{Beneath, Refusal};
use crate::cell::OwnedCell;
use crate::error::{DatasetError, Result};
use crate::feature::{Feature, Features};
use crate::media::Media;
use crate::natural::by_number;
use crate::read::split_named;
use crate::rows::{Rows, Value};
use walk::Entry;

const BATCH_ROWS: usize = 1024;
const METADATA: [(&str, table::Format); 2] =
    [("metadata.jsonl", table::Format::JsonLines), ("metadata.csv", table::Format::Csv)];

/// Media files below a folder, in the natural order of names, all of one kind.
struct Found {
    folder: PathBuf,
    files: Vec<Entry>,
    column: &'static str,
    feature: Feature,
    left_out: Tally,
    /// Why the first row was left out.
    first_error: Option<DatasetError>,
}

pub(super) fn import(folder: &Path, types: &ColumnTypes, out: &Path) -> Result<Imported> {
    let metadata = METADATA.into_iter().find(|(name, _)| folder.join(name).exists());
    metadata.map_or(Ok(()), |(name, _)| ensure_beneath(folder, Path::new(name)))?;
    let found = Found::below(folder, metadata.map(|(name, _)| name))?;
    match metadata {
        Some((name, format)) => {
            let metadata = folder.join(name);
            let table = table::read(&metadata, format, types, BATCH_ROWS)?;
            metadata::import(found, &metadata, table, out)
        }
        None => {
            types.refuse(folder)?;
            refuse_splits(folder, &found.files)?;
            with_labels(found, out)
        }
    }
}

/// The folder of a file: its class.
fn class(file: &Entry) -> Option<&str> {
    let (parent, _) = file.name.rsplit_once('/')?;
    Some(parent.rsplit('/').next().unwrap_or(parent))
}

/// Refuses a folder of several splits, whose rows would be mixed and whose names would be classes.
fn refuse_splits(folder: &Path, files: &[Entry]) -> Result<()> {
    let mut splits = BTreeMap::new();
    for top in files.iter().filter_map(|file| Some(file.name.split_once('/')?.0)) {
        splits.extend(split_named(top).map(|split| (split, top)));
    }
    if splits.len() < 2 {
        return Ok(());
    }
    let names = splits.keys().copied().collect::<Vec<_>>().join(", ");
    Err(DatasetError::Splits {
        path: folder.to_path_buf(),
        reason: format!("it holds the splits {names}, which are not imported together"),
        choices: splits.values().map(|top| folder.join(top).display().to_string()).collect(),
    })
}

/// Imports a folder without metadata: sub-folders are the classes of their files.
fn with_labels(mut found: Found, out: &Path) -> Result<Imported> {
    let classes: BTreeSet<&str> = found.files.iter().filter_map(class).collect();
    let mut classes: Vec<String> = classes.into_iter().map(str::to_string).collect();
    classes.sort_by(|a, b| by_number(Path::new(a), Path::new(b)));
    let mut features = Features::default();
    features.0.insert("id".into(), Feature::Value("string".into()));
    features.0.insert(found.column.into(), found.feature.clone());
    if !classes.is_empty() {
        features.0.insert("label".into(), Feature::ClassLabel { names: classes.clone() });
    }
    let mut rows = Rows::create(out, features)?;
    let mut count = 0u64;
    for file in std::mem::take(&mut found.files) {
        let bytes = found.open(&file.path).and_then(Beneath::read);
        let Some(bytes) = found.kept(&file.name, bytes)? else { continue };
        let mut row = vec![Value::text(&file.name), Value::File { bytes, name: file.name.clone() }];
        if !classes.is_empty() {
            let index = class(&file).and_then(|class| classes.iter().position(|other| *other == class));
            row.push(index.map_or(Value::Null, |index| Value::Cell(OwnedCell::I64(index as i64))));
        }
        rows.push(row)?;
        count += 1;
    }
    found.has_rows(count)?;
    let (rows, features) = rows.finish()?;
    Ok(Imported { rows, features, left_out: found.left_out.finish(), notes: Vec::new(), is_damaged: false })
}

impl Found {
    fn below(folder: &Path, metadata: Option<&str>) -> Result<Found> {
        let mut left_out = Tally::default();
        let mut files = walk::files(folder, &mut left_out)?;
        files.retain(|file| metadata != Some(file.name.as_str()));
        let by_name = |file: &Entry| names::media(&names::extension(&file.path));
        let by_content = |file: &Entry| sniffed(folder, file).and_then(|media| names::media_type(media.media_type));
        let first = files.iter().find_map(|file| Some((file.name.clone(), by_name(file)?)));
        let first = first.or_else(|| files.iter().find_map(|file| Some((file.name.clone(), by_content(file)?))));
        let Some((first, (column, feature))) = first else {
            let reason = "holds no image, sound or video (png, jpg, gif, wav, flac, mp3, mp4 ...)";
            let way_out = match files.iter().find(|file| is_table(&file.path)) {
                Some(table) => format!("; to import {}, name the file instead of the folder", table.name),
                None => "; name the folder that holds the files".into(),
            };
            return Err(refusal(folder, format!("{reason}{way_out}")));
        };
        let mut kept = Vec::with_capacity(files.len());
        for file in files {
            match by_name(&file) {
                Some((other, _)) if other != column => {
                    let reason =
                        format!("mixes {column} ({first}) and {other} ({}); import a folder of each", file.name);
                    return Err(refusal(folder, reason));
                }
                Some(_) => kept.push(file),
                None if by_content(&file).is_some_and(|(other, _)| other == column) => kept.push(file),
                None => left_out.note("not an image, sound or video", &file.name),
            }
        }
        Ok(Found { folder: folder.to_path_buf(), files: kept, column, feature, left_out, first_error: None })
    }

    fn open(&self, file: &Path) -> Result<Beneath, Refusal> {
        Beneath::open(&self.folder, file)
    }

    /// The value, unless its file is refused: then the file is counted and `None` returned.
    ///
    /// # Errors
    /// The system failed.
    fn kept<T>(&mut self, name: &str, value: Result<T, Refusal>) -> Result<Option<T>> {
        let refused = match value {
            Ok(value) => return Ok(Some(value)),
            Err(refused) => refused,
        };
        let path = self.folder.join(name);
        let (reason, error) = match &refused {
            Refusal::Missing => ("not there", DatasetError::Missing { path }),
            Refusal::Outside => ("outside of the folder", self.refused(name, &refused)),
            Refusal::NotRegular(_) => ("not a regular file", self.refused(name, &refused)),
            Refusal::TooLarge(_) => ("too large for a cell", self.refused(name, &refused)),
            Refusal::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                ("not readable for this user", self.refused(name, &refused))
            }
            Refusal::Io(_) => return Err(self.refused(name, &refused)),
        };
        self.left_out.note(reason, name);
        self.first_error.get_or_insert(error);
        Ok(None)
    }

    fn refused(&self, name: &str, reason: &Refusal) -> DatasetError {
        refusal(&self.folder.join(name), format!("cannot be imported: {reason}"))
    }

    /// Refuses a source none of whose files is in a row.
    fn has_rows(&mut self, rows: u64) -> Result<()> {
        if rows > 0 { Ok(()) } else { self.first_error.take().map_or(Ok(()), Err) }
    }
}

/// What the first bytes of a file say, unless they are text: text may begin like a short mark.
fn sniffed(folder: &Path, file: &Entry) -> Option<Media> {
    const HEAD_BYTES: u64 = 64;
    let head = Beneath::open(folder, &file.path).ok()?.head(HEAD_BYTES).ok()?;
    let is_text = std::str::from_utf8(&head).is_ok_and(|text| !text.contains('\0'));
    Media::from_bytes(&head).filter(|_| !is_text)
}
