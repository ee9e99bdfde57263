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
    content: &'a mut dyn Read,
}

impl Member<'_> {
    /// Its bytes.
    pub(super) fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.content.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Calls `visit` for every regular file. Records links and other members in `left_out`.
pub(super) fn members(
    file: &Path,
    left_out: &mut Tally,
    mut visit: impl FnMut(Member<'_>) -> Result<()>,
) -> Result<()> {
    let damaged =
        |error: std::io::Error| refusal(file, format!("is not a complete tar file ({error}); fetch it again"));
    let at_end = Rc::new(Cell::new(false));
    let mut archive = tar::Archive::new(Watched { inner: open(file)?, at_end: at_end.clone() });
    let mut long_name = None;
    let mut count = 0u64;
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            long_name = Some(text(&record(&mut entry).map_err(damaged)?));
            continue;
        }
        if kind.is_pax_local_extensions() {
            let fields = record(&mut entry).map_err(damaged)?;
            if let Some(size) = field(&fields, "size") {
                return Err(too_large(file, &text(&entry.path_bytes()), size));
            }
            long_name = field(&fields, "path").map(str::to_string).or(long_name);
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
        if entry.size() > MAX_CELL_BYTES {
            return Err(too_large(file, &name, &entry.size().to_string()));
        }
        visit(Member { name: &name, content: &mut entry })?;
        count += 1;
    }
    if at_end.get() {
        let reason =
            format!("ends after {count} files without the end marker of a tar file; it was cut, fetch it again");
        return Err(refusal(file, reason));
    }
    Ok(())
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
