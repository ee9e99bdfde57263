//! WebDataset: tar files whose members are grouped into rows by name, as the `webdataset` library does: the key is the
//! folder and the file's name up to its first dot.
//!
//! A tar that was cut gives the rows before the damage. A row with a member that its column cannot hold is left out.

mod sample;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::left_out::Tally;
use super::tar::{Cut, End, Member, Next, members};
use super::{Imported, names, refusal};
use crate::error::{DatasetError, Result};
use crate::feature::{Feature, Features};
use crate::rows::Rows;
use sample::Sample;

const ID: &str = "id";
const NO_PART: &str = "not named KEY.EXTENSION";
const BAD_ROW: &str = "in a row with a member that its column cannot hold";
const CUT_ROW: &str = "in a row that the end of a cut tar file is missing from";
/// More columns of one kind in a row are probably files of many rows.
const MANY_COLUMNS: usize = 12;

pub(super) fn import(files: &[PathBuf], out: &Path) -> Result<Imported> {
    let mut first = FirstPass::new();
    files.iter().try_for_each(|file| first.read(file))?;
    let features = first.features;
    if features.len() == 1 {
        let file = files.first().cloned().unwrap_or_default();
        return Err(first
            .damage
            .unwrap_or_else(|| refusal(&file, "holds no file that could be a row (KEY.EXTENSION)")));
    }
    let mut import = Import {
        rows: Rows::create(out, features.clone())?,
        features,
        count: 0,
        left_out: Tally::default(),
        notes: Vec::new(),
        is_damaged: false,
        first_error: None,
    };
    for file in files {
        import.read(file)?;
    }
    import.finish()
}

/// Finds the columns, in order of appearance.
struct FirstPass {
    features: Features,
    seen: HashSet<String>,
    damage: Option<DatasetError>,
}

impl FirstPass {
    fn new() -> FirstPass {
        let features = Features::from_iter([(ID.to_string(), Feature::Value("string".into()))]);
        FirstPass { features, seen: HashSet::new(), damage: None }
    }

    fn read(&mut self, file: &Path) -> Result<()> {
        let end = members(file, &mut Tally::default(), |mut member| {
            if let Err(cut) = member.pass() {
                return Ok(Next::Damaged(cut));
            }
            if let Some(part) = Part::of(member.name) {
                self.add(file, &part, member.name)?;
            }
            Ok(Next::Go)
        })?;
        if let End::Damaged(reason) = end {
            self.damage.get_or_insert_with(|| refusal(file, incomplete(&reason)));
        }
        Ok(())
    }

    fn add(&mut self, file: &Path, part: &Part, member: &str) -> Result<()> {
        if !self.seen.insert(part.extension.clone()) {
            return Ok(());
        }
        let (column, feature) = names::member(&part.extension);
        let known = self.features.0.entry(column.clone()).or_insert_with(|| feature.clone());
        if *known == feature && column != ID {
            return Ok(());
        }
        let found = feature.describe();
        let known = known.describe();
        let reason = if part.extension.contains('.') {
            format!(
                "{member}: the name of a row ends at the first dot, so that `.{}` is the name of a column, `{column}`, \
                 which is {known} elsewhere and {found} here; make the tar file with names without dots",
                part.extension
            )
        } else {
            format!("{member} is {found}, but column {column} is {known}")
        };
        Err(refusal(file, reason))
    }
}

/// Writes the rows.
struct Import {
    rows: Rows,
    features: Features,
    count: u64,
    left_out: Tally,
    notes: Vec<String>,
    is_damaged: bool,
    /// Why the first row was left out.
    first_error: Option<DatasetError>,
}

impl Import {
    fn read(&mut self, file: &Path) -> Result<()> {
        let mut sample = Sample::default();
        // The row before, for what a row of this file has.
        let mut last = BTreeSet::new();
        let mut complete = HashSet::new();
        let mut left_out = Tally::default();
        let before = self.count;
        let end = members(file, &mut left_out, |mut member| {
            let Some(part) = Part::of(member.name) else {
                self.left_out.note(NO_PART, member.name);
                return Ok(member.pass().map_or_else(Next::Damaged, |()| Next::Go));
            };
            if sample.key != part.key {
                if !sample.members.is_empty() {
                    complete.insert(sample.key.clone());
                    last = sample.columns.clone();
                }
                self.push(file, std::mem::replace(&mut sample, Sample::new(&part.key)))?;
            }
            if complete.contains(&part.key) {
                let reason = format!(
                    "{} belongs to row {}, whose other files do not lie together with it; sort the files by name when \
                     the tar file is made",
                    member.name, part.key
                );
                return Err(refusal(file, reason));
            }
            match sample.add(&part.extension, &mut member) {
                Ok(()) => Ok(Next::Go),
                Err(cut) => Ok(Next::Damaged(cut)),
            }
        })?;
        self.left_out.add(left_out);
        match end {
            End::Whole => self.push(file, sample),
            // Only a row that has what the row before has is known to be complete.
            End::Damaged(reason) => {
                if !sample.was_cut && !last.is_empty() && sample.columns == last {
                    self.push(file, sample)?;
                } else {
                    sample.members.iter().for_each(|member| self.left_out.note(CUT_ROW, member));
                }
                let rows = self.count - before;
                let shown = file.display();
                self.is_damaged = true;
                self.notes.push(format!(
                    "{shown} is not a complete tar file ({reason}): the {rows} complete rows before the damage are \
                     imported; fetch it again for the others"
                ));
                self.first_error.get_or_insert_with(|| refusal(file, incomplete(&reason)));
                Ok(())
            }
        }
    }

    /// Writes a row, or counts its files.
    fn push(&mut self, file: &Path, sample: Sample) -> Result<()> {
        if sample.members.is_empty() {
            return Ok(());
        }
        if let Some(reason) = &sample.bad {
            self.first_error.get_or_insert_with(|| refusal(file, reason));
            sample.members.iter().for_each(|member| self.left_out.note(BAD_ROW, member));
            return Ok(());
        }
        self.count += 1;
        self.rows.push(sample.into_row(&self.features))
    }

    fn finish(mut self) -> Result<Imported> {
        if self.count == 0
            && let Some(error) = self.first_error
        {
            return Err(error);
        }
        let dotted = self.features.keys().filter(|column| column.starts_with(|c: char| c.is_ascii_digit())).count();
        if self.features.len() > MANY_COLUMNS || dotted > 1 {
            let names: Vec<&str> = self.features.keys().skip(1).take(3).map(String::as_str).collect();
            self.notes.push(format!(
                "each row has {} columns of files ({} ...): the name of a row ends at the first dot of a file's name; \
                 if these are files of several rows, make the tar file with names without dots",
                self.features.len() - 1,
                names.join(", ")
            ));
        }
        let (rows, features) = self.rows.finish()?;
        let (left_out, notes, is_damaged) = (self.left_out.finish(), self.notes, self.is_damaged);
        Ok(Imported { rows, features, left_out, notes, is_damaged })
    }
}

fn incomplete(reason: &str) -> String {
    format!("is not a complete tar file ({reason}); fetch it again")
}

/// The parts of a member's name.
struct Part {
    /// The row: folder and file name up to the first dot.
    key: String,
    /// Everything after the first dot, in lower case.
    extension: String,
}

impl Part {
    /// `None` for a name without key or extension.
    fn of(name: &str) -> Option<Part> {
        let (folder, base) = name.rsplit_once('/').unwrap_or(("", name));
        let (stem, extension) = base.split_once('.').filter(|(stem, end)| !stem.is_empty() && !end.is_empty())?;
        let key = if folder.is_empty() { stem.to_string() } else { format!("{folder}/{stem}") };
        Some(Part { key, extension: extension.to_lowercase() })
    }
}
