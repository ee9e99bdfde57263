//! Datasets made out of nothing but a seed, so that a training can be tried without any data at hand.
//!
//! One file per kind. The same kind, rows and seed give the same rows on every machine; other seeds give other rows, so
//! that one seed serves to train and another to test.

mod glyphs;

use std::path::Path;

use crate::error::Result;
use crate::feature::Features;
use crate::read::Dataset;
use crate::rows::{Rows, Value};

/// Key of the schema metadata that says what a generated file holds; see [`Generation`].
pub const GENERATED_KEY: &str = "anyflow.generated";

/// Kinds of data that can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// Digits as pictures drawn by strokes, as sounds of a simple synthesiser, as words and as labels.
    Glyphs,
}

impl Generator {
    /// Every kind.
    pub const ALL: [Generator; 1] = [Generator::Glyphs];

    /// Its name in files and commands.
    pub fn name(self) -> &'static str {
        match self {
            Generator::Glyphs => "glyphs",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Generator> {
        Self::ALL.into_iter().find(|generator| generator.name() == name)
    }

    /// The columns of its rows.
    pub fn features(self) -> Features {
        match self {
            Generator::Glyphs => glyphs::features(),
        }
    }

    fn row(self, seed: u64, row: u64) -> Result<Vec<Value>> {
        match self {
            Generator::Glyphs => glyphs::row(seed, row),
        }
    }
}

/// What a generated file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The kind.
    pub generator: Generator,
    /// Rows.
    pub rows: u64,
    /// Seed of everything in them.
    pub seed: u64,
}

impl Generation {
    /// The value of [`GENERATED_KEY`]: equal values, equal rows. The number after the name counts changes of the kind.
    pub fn key(self) -> String {
        let version = match self.generator {
            Generator::Glyphs => glyphs::VERSION,
        };
        format!("{} {version} rows={} seed={}", self.generator.name(), self.rows, self.seed)
    }
}

/// Writes the rows to the Parquet file `out`; gives its columns.
///
/// # Errors
/// Those of writing.
pub fn generate(generation: Generation, out: &Path) -> Result<Features> {
    let metadata = Some((GENERATED_KEY, generation.key()));
    let mut rows = Rows::with_metadata(out, generation.generator.features(), metadata)?;
    for row in 0..generation.rows {
        rows.push(generation.generator.row(generation.seed, row)?)?;
    }
    Ok(rows.finish()?.1)
}

/// Whether `file` is there and holds exactly these rows.
pub fn generated(generation: Generation, file: &Path) -> bool {
    let Ok(dataset) = Dataset::open(&[file.to_path_buf()]) else { return false };
    dataset.schema().metadata().get(GENERATED_KEY).is_some_and(|key| *key == generation.key())
}
