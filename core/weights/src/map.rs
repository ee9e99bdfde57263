//! Key maps: how the names in a published file become those of our modules and networks. A map is a table of patterns, one per
//! line:
//!
//! | line | meaning |
//! | --- | --- |
//! | `keep A` | The name stays as it is, whatever the lines below say. |
//! | `rename A -> B` | The tensor has another name. |
//! | `transpose A -> B` | Its two axes are swapped. |
//! | `squeeze A -> B` | A convolution of one position becomes a linear layer: trailing axes of size 1 go. |
//! | `split A -> B C ...` | It is cut into equal parts along its first axis. |
//! | `join A B ... -> C` | Several tensors are put one behind the other along their first axis. |
//! | `ignore A` | The file may hold it although the model has no use for it. |
//! | `optional A` | The model may do without it; `A` is its name in the model. |
//!
//! The first line that fits a name counts. A name that fits none stays as it is. `{N}`, `{name}` and `{name*}` in a pattern
//! stand for a number, a word without a dot, and any text.

mod parse;
mod pattern;

use std::path::Path;

use crate::transform::Transform;
use parse::{Action, Rule, Table};

/// Maps that are built in, one file each.
const BUILT_IN: [(&str, &str); 7] = [
    ("autoencoder-kl", include_str!("../maps/autoencoder-kl.map")),
    ("autoencoder-tiny", include_str!("../maps/autoencoder-tiny.map")),
    ("bert", include_str!("../maps/bert.map")),
    ("clip-image", include_str!("../maps/clip-image.map")),
    ("clip-scale", include_str!("../maps/clip-scale.map")),
    ("clip-text", include_str!("../maps/clip-text.map")),
    ("unet-2d", include_str!("../maps/unet-2d.map")),
];

/// The longest map file that is read.
const MAX_MAP_BYTES: u64 = 1 << 20;

/// A key map. The default one keeps all names.
#[derive(Clone, Debug, Default)]
pub struct KeyMap {
    table: Table,
    own_blake3: Option<String>,
}

/// Where a tensor of a file goes in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// Its name in the model's part.
    pub name: String,
    /// What happens to its numbers.
    pub transform: Transform,
}

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// There is no built-in map of this name. The user must correct the name.
    #[error("there is no key map `{name}`; built in are {}. A map of your own is a file: write its path", names().join(", "))]
    Unknown {
        /// As written.
        name: String,
    },
    /// The map file cannot be read.
    #[error("the key map {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A line of it is wrong.
    #[error("the key map {map} is wrong in line {line}: {text}")]
    Line {
        /// Its name or file.
        map: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        text: String,
    },
}

impl MapError {
    /// A word for programs. It never changes.
    pub fn code(&self) -> &'static str {
        match self {
            MapError::Unknown { .. } => "weights.unknown-map",
            MapError::Read { .. } => "weights.read-map",
            MapError::Line { .. } => "weights.wrong-map",
        }
    }
}

/// The names of the built-in maps.
pub fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

impl KeyMap {
    /// The built-in map of a name, or that of a file if `map` has a `/` or a dot.
    ///
    /// # Errors
    /// [`MapError`].
    pub fn find(map: &str) -> Result<KeyMap, MapError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == map) {
            return KeyMap::parse(map, text);
        }
        if !map.contains(['/', '.']) {
            return Err(MapError::Unknown { name: map.into() });
        }
        let unreadable = |source| MapError::Read { path: map.into(), source };
        let found = std::fs::metadata(Path::new(map)).map_err(unreadable)?;
        if !found.is_file() {
            return Err(unreadable(std::io::Error::other("it is not a regular file")));
        }
        let size_bytes = found.len();
        if size_bytes > MAX_MAP_BYTES {
            return Err(unreadable(std::io::Error::other(format!("it has {size_bytes} bytes; no map is that long"))));
        }
        let text = std::fs::read_to_string(map).map_err(unreadable)?;
        let own_blake3 = Some(blake3::hash(text.as_bytes()).to_hex().to_string());
        Ok(KeyMap { own_blake3, ..KeyMap::parse(map, &text)? })
    }

    /// The hash of a map that is a file; a built-in one belongs to this version.
    pub fn own_blake3(&self) -> Option<String> {
        self.own_blake3.clone()
    }

    /// Reads a map. `name` is its name in errors.
    ///
    /// # Errors
    /// [`MapError::Line`].
    pub fn parse(name: &str, text: &str) -> Result<KeyMap, MapError> {
        let wrong = |(line, text)| MapError::Line { map: name.into(), line, text };
        Ok(KeyMap { table: Table::parse(text).map_err(wrong)?, own_blake3: None })
    }

    /// Where a tensor of the file goes.
    pub fn land(&self, name: &str) -> Vec<Landing> {
        let landing = |name, transform| Landing { name, transform };
        self.table
            .rules
            .iter()
            .find_map(|rule| landings(rule, name))
            .unwrap_or_else(|| vec![landing(name.to_string(), Transform::Whole)])
    }

    /// True if the file may hold a tensor of this name without use.
    pub fn ignores(&self, name: &str) -> bool {
        self.table.ignored.iter().any(|pattern| pattern.matches(name).is_some())
    }

    /// True if the model may do without a weight of this name.
    pub fn is_optional(&self, name: &str) -> bool {
        self.table.optional.iter().any(|pattern| pattern.matches(name).is_some())
    }
}

/// What a rule makes of a name, if it fits.
fn landings(rule: &Rule, name: &str) -> Option<Vec<Landing>> {
    let (index, found) = rule.from.iter().enumerate().find_map(|(at, from)| Some((at, from.matches(name)?)))?;
    let parts = rule.to.len();
    let transform = |part: usize| match rule.action {
        Action::Rename => Transform::Whole,
        Action::Transpose => Transform::Transposed,
        Action::Squeeze => Transform::Squeezed,
        Action::Split => Transform::Slice { part, of: parts },
        Action::Join => Transform::Joined { part: index, of: rule.from.len() },
    };
    let landing =
        |(part, to): (usize, &pattern::Pattern)| Some(Landing { name: to.fill(&found)?, transform: transform(part) });
    rule.to.iter().enumerate().map(landing).collect()
}

#[cfg(test)]
mod tests;
