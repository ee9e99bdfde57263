//! Datasets generated from a seed (and optional shapes), to try a training without own data.
//!
//! One file per kind. The same kind, rows and seed give the same rows on every machine. Train and test with different
//! seeds.

mod captions;
mod glyphs;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::feature::Features;
use crate::folder::NewFile;
use crate::read::Dataset;
use crate::rows::Rows;
pub use captions::Combinations;
use captions::Shapes;

/// Key of the schema metadata that describes a generated file; see [`Generation`].
pub const GENERATED_KEY: &str = "anyflow.generated";

/// Kinds of generated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generator {
    /// Digits as images drawn by strokes, as sounds of a simple synthesizer, as words and as labels.
    Glyphs,
    /// Coloured digits somewhere in an image, with captions.
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

    /// One line for people, without a full stop.
    pub fn summary(self) -> &'static str {
        match self {
            Generator::Glyphs => glyphs::SUMMARY,
            Generator::Captions => captions::SUMMARY,
        }
    }

    /// The keys of its own in YAML: JSON Schema of their values, with a `description`. A string of the format `source` names
    /// a source of files. [`Generation::with`] takes the values.
    pub fn parameters(self) -> IndexMap<String, Value> {
        match self {
            Generator::Glyphs => IndexMap::new(),
            Generator::Captions => captions::parameters(),
        }
    }

    /// The columns of its rows.
    pub fn features(self) -> Features {
        match self {
            Generator::Glyphs => glyphs::features(),
            Generator::Captions => captions::features(),
        }
    }
}

/// The content of a generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The kind.
    pub generator: Generator,
    /// Rows.
    pub rows: u64,
    /// Seed of everything in them.
    pub seed: u64,
    /// Captions only: the pairs of digit and colour.
    pub combinations: Combinations,
    /// Captions only: Parquet files with grey 28 x 28 images of digits (`image`) and their classes (`label`). If empty,
    /// the digits are drawn.
    pub shapes: Vec<PathBuf>,
}

impl Generation {
    /// Generation from a seed only.
    pub fn new(generator: Generator, rows: u64, seed: u64) -> Self {
        Generation { generator, rows, seed, combinations: Combinations::All, shapes: Vec::new() }
    }

    /// The same with keys of the generator's own, and the files of the sources that such keys name.
    ///
    /// # Errors
    /// A key or word that [`Generator::parameters`] does not allow.
    pub fn with(
        mut self,
        parameters: &Map<String, Value>,
        files: IndexMap<String, Vec<PathBuf>>,
    ) -> std::result::Result<Self, String> {
        let unknown = |key: &str| format!("generator `{}` does not know this `{key}`", self.generator.name());
        for (key, value) in parameters {
            let combinations = value.as_str().and_then(Combinations::named);
            match (self.generator, key.as_str(), combinations) {
                (Generator::Captions, captions::COMBINATIONS, Some(word)) => self.combinations = word,
                _ => return Err(unknown(key)),
            }
        }
        for (key, files) in files {
            match (self.generator, key.as_str()) {
                (Generator::Captions, captions::SHAPES) => self.shapes = files,
                _ => return Err(unknown(&key)),
            }
        }
        Ok(self)
    }

    /// The value of [`GENERATED_KEY`]. Equal values mean equal rows. The number after the name is the version of the
    /// kind.
    ///
    /// # Errors
    /// The shapes cannot be read.
    pub fn key(&self) -> Result<String> {
        let Generation { generator, rows, seed, .. } = self;
        let name = generator.name();
        let asked = format!("rows={rows} seed={seed}");
        match generator {
            Generator::Glyphs => Ok(format!("{name} {} {asked}", glyphs::VERSION)),
            Generator::Captions => {
                let shapes = match self.shapes.as_slice() {
                    [] => "drawn".to_string(),
                    files => Dataset::open(files)?.content()?.to_string(),
                };
                let combinations = self.combinations.name();
                Ok(format!("{name} {} {asked} combinations={combinations} shapes={shapes}", captions::VERSION))
            }
        }
    }
}

/// Writes the rows to the Parquet file `out`. Returns its columns.
///
/// # Errors
/// Errors of writing, and of reading shapes.
pub fn generate(generation: &Generation, out: &Path) -> Result<Features> {
    generate_into(generation, NewFile::beside(out)?)
}

/// As [`generate`], into a started file, such as one of a [`crate::Folder`].
///
/// # Errors
/// Errors of writing, and of reading shapes.
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

/// True if `file` exists and holds exactly these rows.
pub fn generated(generation: &Generation, file: &Path) -> bool {
    let (Ok(dataset), Ok(wanted)) = (Dataset::open(&[file.to_path_buf()]), generation.key()) else { return false };
    dataset.schema().metadata().get(GENERATED_KEY).is_some_and(|key| *key == wanted)
}
