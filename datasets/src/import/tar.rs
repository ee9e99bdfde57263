//! The members of a tar file, in order.
//!
//! Memory does not depend on sizes in the file: members are streamed, and records of long names are bounded.

use std::cell::Cell;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use super::left_out::Tally;
use super::{open, refusal};
use crate::beneath::MAX_CELL_BYTES;
use crate::error::{DatasetError, Result};

/// The longest record of a long name.
const MAX_NAME_BYTES: u64 = 1 << 16;

/// A regular file in the tar.
pub(super) struct Member<'a> {
    /// Its name, folders included.
    pub(super) name: &'a str,
    size_bytes: u64,
    content: &'a mut dyn Read,
}

/// The end of a member's content is missing, or damaged.
pub(super) struct Cut(String);

impl Member<'_> {
    /// All of its bytes.
    pub(super) fn read(&mut self) -> Result<Vec<u8>, Cut> {
        let mut bytes = Vec::new();
        let read = self.content.read_to_end(&mut bytes);
        self.check(read.map(|_| bytes.len() as u64)).map(|()| bytes)
    }

    /// Reads it without keeping it.
    pub(super) fn pass(&mut self) -> Result<(), Cut> {
        let read = std::io::copy(self.content, &mut std::io::sink());
        self.check(read)
    }

    /// The tar reader takes the end of the file for the end of the member.
    fn check(&self, read: std::io::Result<u64>) -> Result<(), Cut> {
        match read {
            Ok(count) if count == self.size_bytes => Ok(()),
            Ok(count) => Err(Cut(format!("member {} has {count} of its {} bytes", self.name, self.size_bytes))),
            Err(error) => Err(Cut(format!("member {}: {error}", self.name))),
        }
    }
}

/// What a visitor of members wants next.
pub(super) enum Next {
    /// The next member.
    Go,
    /// Nothing: the file is damaged here.
    Damaged(Cut),
}

/// How the members of a tar file end.
pub(super) enum End {
    /// With the end marker.
    Whole,
    /// Too early, for this reason.
    Damaged(String),
}

/// Calls `visit` for every regular file up to the first damage. Records links and other members in `left_out`.
///
/// # Errors
/// Those of `visit`; a member that no cell can hold.
pub(super) fn members(
    file: &Path,
    left_out: &mut Tally,
    mut visit: impl FnMut(Member<'_>) -> Result<Next>,
) -> Result<End> {
    let damaged = |error: std::io::Error| Ok(End::Damaged(error.to_string()));
    let at_end = Rc::new(Cell::new(false));
    let mut archive = tar::Archive::new(Watched { inner: open(file)?, at_end: at_end.clone() });
    let mut long_name = None;
    let entries = match archive.entries() {
        Ok(entries) => entries.raw(true),
        Err(error) => return damaged(error),
    };
    for entry in entries {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => return damaged(error),
        };
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() || kind.is_pax_local_extensions() {
            let size = entry.size();
            let record = match record(&mut entry) {
                Ok(record) if record.len() as u64 == size => record,
                Ok(_) => return Ok(End::Damaged("a long name has not all of its bytes".into())),
                Err(error) => return damaged(error),
            };
            if kind.is_gnu_longname() {
                long_name = Some(text(&record));
                continue;
            }
            if let Some(size) = field(&record, "size") {
                return Err(too_large(file, &text(&entry.path_bytes()), size));
            }
            long_name = field(&record, "path").map(str::to_string).or(long_name);
            continue;
        }
        if kind.is_gnu_longlink() || kind.is_pax_global_extensions() || kind.is_dir() {
            long_name = long_name.filter(|_| !kind.is_dir());
            continue;
        }
        let name = long_name.take().unwrap_or_else(|| text(&entry.path_bytes()));
        match kind {
            _ if kind.is_file() || kind.is_contiguous() => {}
            _ if kind.is_hard_link() => {
                left_out.note("hard-linked to another member", &name);
                continue;
            }
            _ if kind.is_symlink() => {
                left_out.note("symbolically linked", &name);
                continue;
            }
            _ => {
                left_out.note("not regular", &name);
                continue;
            }
        }
        let size_bytes = entry.size();
        if size_bytes > MAX_CELL_BYTES {
            return Err(too_large(file, &name, &size_bytes.to_string()));
        }
        if let Next::Damaged(Cut(reason)) = visit(Member { name: &name, size_bytes, content: &mut entry })? {
            return Ok(End::Damaged(reason));
        }
    }
    Ok(if at_end.get() { End::Damaged("the end marker of a tar file is missing".into()) } else { End::Whole })
}

fn too_large(file: &Path, name: &str, size: &str) -> DatasetError {
    refusal(file, format!("member {name} has {size} bytes, more than the {MAX_CELL_BYTES} that a cell can hold"))
}

/// Reads a record about the next member.
fn record(entry: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.take(MAX_NAME_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_NAME_BYTES {
        return Err(std::io::Error::other(format!("a name or its record has more than {MAX_NAME_BYTES} bytes")));
    }
    Ok(bytes)
}

/// A field of an extended record, whose lines are `LENGTH NAME=VALUE`.
fn field<'a>(record: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(record).ok()?;
    text.lines().find_map(|line| line.split_once(' ')?.1.strip_prefix(name)?.strip_prefix('='))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string()
}

/// Records the end of the data. A tar file has an end marker, and nothing is read behind it.
struct Watched {
    inner: Box<dyn Read>,
    at_end: Rc<Cell<bool>>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at_end.set(self.at_end.get() || (count == 0 && !buffer.is_empty()));
        Ok(count)
    }
}
