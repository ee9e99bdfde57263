//! The journal of a command: its file operations in order, as `tests/native/inject.c` writes them.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// An operation. Paths are relative to the watched folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Creates a file.
    Create { path: PathBuf, file: u64 },
    /// Sets the length of a file.
    Cut { file: u64, length: usize },
    /// Writes bytes to a file.
    Write { file: u64, offset: usize, data: Vec<u8> },
    /// Syncs a file.
    SyncFile { path: PathBuf, file: u64 },
    /// Syncs a folder.
    SyncFolder { path: PathBuf },
    /// Renames a file or folder.
    Rename { from: PathBuf, to: PathBuf },
    /// Links a file to a second name.
    Link { from: PathBuf, to: PathBuf },
    /// Creates a folder.
    MakeFolder { path: PathBuf },
    /// Removes a name.
    Remove { path: PathBuf },
    /// The engine sent an event.
    Say(Event),
}

/// An acknowledgement that a power cut must not revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This number of rows is done.
    Rows(u64),
    /// A part of a training is done.
    Part(String),
    /// The command exited with 0.
    Finished,
    /// Other events.
    Other,
}

impl Step {
    /// True if it is a sync.
    pub fn is_sync(&self) -> bool {
        matches!(self, Step::SyncFile { .. } | Step::SyncFolder { .. })
    }

    /// True if it only writes bytes.
    pub fn is_write(&self) -> bool {
        matches!(self, Step::Write { .. })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Create { path, .. } => write!(f, "create {}", path.display()),
            Step::Cut { file, length } => write!(f, "cut file {file} to {length} bytes"),
            Step::Write { file, data, .. } => write!(f, "write {} bytes to file {file}", data.len()),
            Step::SyncFile { path, .. } => write!(f, "sync {}", path.display()),
            Step::SyncFolder { path } => write!(f, "sync folder {}", path.display()),
            Step::Rename { from, to } => write!(f, "rename {} to {}", from.display(), to.display()),
            Step::Link { from, to } => write!(f, "link {} to {}", from.display(), to.display()),
            Step::MakeFolder { path } => write!(f, "make folder {}", path.display()),
            Step::Remove { path } => write!(f, "remove {}", path.display()),
            Step::Say(event) => write!(f, "say {event:?}"),
        }
    }
}

/// The operations in a journal that concern `out` in the folder `root`.
///
/// # Errors
/// The journal is not in the form of `inject.c`.
pub fn read(mut bytes: &[u8], root: &Path) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').context("a journal's line has no end")?;
        let head = std::str::from_utf8(&bytes[..end])?;
        bytes = &bytes[end + 1..];
        let [op, file, offset, path, other, data] = head.split(' ').collect::<Vec<_>>()[..] else {
            bail!("no line of a journal: {head:?}");
        };
        let mut part = |length: &str| -> Result<&[u8]> {
            let (part, rest) = bytes.split_at_checked(length.parse()?).context("a journal is cut")?;
            bytes = rest;
            Ok(part)
        };
        let path = place(part(path)?, root)?;
        let other = place(part(other)?, root)?;
        let data = part(data)?;
        let file = file.parse()?;
        let offset = offset.parse()?;
        steps.extend(match (op, path, other) {
            ("e", ..) => events(data).into_iter().map(Step::Say).collect(),
            ("c", Some(path), _) => vec![Step::Create { path, file }],
            ("t", Some(_), _) => vec![Step::Cut { file, length: offset }],
            ("w", Some(_), _) => vec![Step::Write { file, offset, data: data.to_vec() }],
            ("s", Some(path), _) => vec![Step::SyncFile { path, file }],
            ("d", Some(path), _) => vec![Step::SyncFolder { path }],
            ("r", Some(from), Some(to)) => vec![Step::Rename { from, to }],
            ("l", Some(from), Some(to)) => vec![Step::Link { from, to }],
            ("m", Some(path), _) => vec![Step::MakeFolder { path }],
            ("u", Some(path), _) => vec![Step::Remove { path }],
            (_, None, _) => Vec::new(),
            _ => bail!("a step leads out of the folder: {head:?}"),
        });
    }
    Ok(steps)
}

/// The path relative to the root, if it is the root, `out`, or below it.
fn place(path: &[u8], root: &Path) -> Result<Option<PathBuf>> {
    let Ok(path) = Path::new(std::str::from_utf8(path)?).strip_prefix(root) else { return Ok(None) };
    // Removes dots left by the caller.
    let path: PathBuf = path.components().collect();
    Ok((path.as_os_str().is_empty() || path.starts_with("out")).then_some(path))
}

/// The events in the engine's output, in any framing.
fn events(data: &[u8]) -> Vec<Event> {
    let text = String::from_utf8_lossy(data);
    let starts = text.match_indices("{\"event\"").map(|(at, _)| &text[at..]);
    let values = starts.filter_map(|text| serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok());
    values
        .map(|value| match (value["event"].as_str(), value["part"].as_str()) {
            (Some("progress"), Some("rows")) => value["done"].as_u64().map_or(Event::Other, Event::Rows),
            (Some("end"), Some(part)) => Event::Part(part.into()),
            _ => Event::Other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_step_by_step() {
        let line = |head: &str, path: &str, other: &str, data: &str| {
            format!("{head} {} {} {}\n{path}{other}{data}", path.len(), other.len(), data.len())
        };
        let text = [
            line("m 0 0", "/w/out", "", ""),
            line("c 7 0", "/w/out/a", "", ""),
            line("w 7 3", "/w/out/a", "", "x\ny"),
            line("r 0 0", "/w/out/a", "/w/out/b", ""),
            line("d 9 0", "/w", "", ""),
            line("w 8 0", "/w/log", "", "z"),
        ]
        .concat();
        let steps = read(text.as_bytes(), Path::new("/w")).unwrap();
        let path = PathBuf::from;
        assert_eq!(
            steps,
            [
                Step::MakeFolder { path: path("out") },
                Step::Create { path: path("out/a"), file: 7 },
                Step::Write { file: 7, offset: 3, data: b"x\ny".to_vec() },
                Step::Rename { from: path("out/a"), to: path("out/b") },
                Step::SyncFolder { path: path("") },
            ]
        );
    }

    #[test]
    fn events_are_found_in_any_frame() {
        let data = b"\x21\0\0\0{\"event\":\"progress\",\"part\":\"rows\",\"done\":32}\n\x09{\"event\":\"end\",\"part\":\"diffusion\"}";
        assert_eq!(events(data), [Event::Rows(32), Event::Part("diffusion".into())]);
    }
}
