//! Datasets made out of a seed, and of nothing else where no shapes are given, so that a training can be tried without any
//! data at hand.
//!
//! One file per kind. The same kind, rows and seed give the same rows on every machine; other seeds give other rows, so
//! that one seed serves to train and another to test.

mod captions;
mod glyphs;

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::feature::Features;
use crate::folder::NewFile;
use crate::read::Dataset;
use crate::rows::Rows;
pub use captions::Combinations;
use captions::Shapes;

/// Key of the schema metadata that says what a generated file holds; see [`Generation`].
pub const GENERATED_KEY: &str = "anyflow.generated";

/// Kinds of data that can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// Digits as pictures drawn by strokes, as sounds of a simple synthesiser, as words and as labels.
    Glyphs,
    /// Digits in colour somewhere in a picture, with sentences that say so.
    Captions,
}

impl Generator {
    /// Every kind.
    pub const ALL: [Generator; 2] = [Generator::Glyphs, Generator::Captions];

    /// Its name in files and commands.
    pub fn name(self) -> &'static str {
        match self {
            Generator::Glyphs => "glyphs",
            Generator::Captions => "captions",
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
            Generator::Captions => captions::features(),
        }
    }
}

/// What a generated file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The kind.
    pub generator: Generator,
    /// Rows.
    pub rows: u64,
    /// Seed of everything in them.
    pub seed: u64,
    /// Of captions: which pairs of digit and colour there are.
    pub combinations: Combinations,
    /// Of captions: Parquet files with gray pictures of digits, 28 x 28 (`image`), and what they show (`label`); drawn
    /// ones if there are none.
    pub shapes: Vec<PathBuf>,
}

impl Generation {
    /// Out of nothing but a seed.
    pub fn new(generator: Generator, rows: u64, seed: u64) -> Self {
        Generation { generator, rows, seed, combinations: Combinations::All, shapes: Vec::new() }
    }

    /// The value of [`GENERATED_KEY`]: equal values, equal rows. The number after the name counts changes of the kind.
    ///
    /// # Errors
    /// The shapes cannot be read.
    pub fn key(&self) -> Result<String> {
        let Generation { generator, rows, seed, .. } = self;
        let (name, asked) = (generator.name(), format!("rows={rows} seed={seed}"));
        match generator {
            Generator::Glyphs => Ok(format!("{name} {} {asked}", glyphs::VERSION)),
            Generator::Captions => {
                let shapes = match self.shapes.as_slice() {
                    [] => "drawn".to_string(),
                    files => Dataset::open(files)?.content()?,
                };
                let combinations = self.combinations.name();
                Ok(format!("{name} {} {asked} combinations={combinations} shapes={shapes}", captions::VERSION))
            }
        }
    }
}

/// Writes the rows to the Parquet file `out`; gives its columns.
///
/// # Errors
/// Those of writing, and of reading shapes.
pub fn generate(generation: &Generation, out: &Path) -> Result<Features> {
    generate_into(generation, NewFile::beside(out)?)
}

/// As [`generate`], into a file that is under way already, such as one of a [`crate::Folder`].
///
/// # Errors
/// Those of writing, and of reading shapes.
pub fn generate_into(generation: &Generation, out: NewFile) -> Result<Features> {
    let metadata = Some((GENERATED_KEY, generation.key()?));
    let Generation { generator, seed, combinations, shapes, .. } = generation;
    let shapes = if shapes.is_empty() { None } else { Some(Shapes::read(shapes)?) };
    let mut rows = Rows::with_metadata(out, generator.features(), metadata)?;
    for row in 0..generation.rows {
        rows.push(match generator {
            Generator::Glyphs => glyphs::row(*seed, row)?,
            Generator::Captions => captions::row(*seed, row, *combinations, shapes.as_ref())?,
        })?;
    }
    Ok(rows.finish()?.1)
}

/// Whether `file` is there and holds exactly these rows.
pub fn generated(generation: &Generation, file: &Path) -> bool {
    let (Ok(dataset), Ok(wanted)) = (Dataset::open(&[file.to_path_buf()]), generation.key()) else { return false };
    dataset.schema().metadata().get(GENERATED_KEY).is_some_and(|key| *key == wanted)
}
