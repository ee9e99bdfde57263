//! The datasets of a training or an evaluation: their identity, and the generation of the generated ones.

use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, Folder, GENERATED_KEY, Generation, Generator, generate_into};
use anyflow_plan::plan::{ColumnRef, Generated, Model, Table};
use indexmap::{IndexMap, IndexSet};

use crate::events::Events;
use crate::{Result, RunError};

/// The folder of the generated files in the output folder.
const FOLDER: &str = "data";

/// The sources of a job.
pub struct Sources<'a> {
    /// Files by source.
    pub files: &'a IndexMap<String, Vec<String>>,
    /// The generated sources.
    pub generated: &'a IndexMap<String, Generated>,
    /// The model whose codecs read them.
    pub model: &'a Model,
}

impl Sources<'_> {
    /// The identity of each source that these tables read, and of the sources from which generated ones are made: a hash
    /// of the content and one of the linked files, or the parameters of the generator.
    ///
    /// # Errors
    /// A dataset cannot be read.
    pub fn identities<'t>(&self, tables: impl Iterator<Item = &'t Table>) -> Result<IndexMap<String, String>> {
        let tables: Vec<&Table> = tables.collect();
        let columns = tables.iter().flat_map(|table| table.columns.values().chain(&table.class));
        let mut names: IndexSet<&str> = columns.map(|c: &ColumnRef| c.source.as_str()).collect();
        let generated = names.iter().filter_map(|name| self.generated.get(*name));
        let of_generators: Vec<&str> = generated.flat_map(|made| made.sources.values()).map(String::as_str).collect();
        names.extend(of_generators);
        let mut identities = IndexMap::new();
        for name in names {
            match self.generated.get(name) {
                // The sources of a generator have identities of their own.
                Some(made) => drop(identities.insert(name.to_owned(), generation(made, IndexMap::new())?.key()?)),
                None => {
                    let read = tables.iter().flat_map(|table| table.columns_read(name, self.model));
                    let content = Dataset::open(&self.paths(name))?.with_files(read).content()?;
                    let linked = content.linked().map(|linked| (format!("{name}, linked files"), linked));
                    identities.insert(name.to_owned(), content.files);
                    identities.extend(linked);
                }
            }
        }
        Ok(identities)
    }

    /// Checks that the sources are still those of [`Sources::identities`], after tables are read.
    ///
    /// # Errors
    /// [`RunError::Data`] for a source that has changed.
    pub fn check<'t>(
        &self,
        tables: impl Iterator<Item = &'t Table>,
        identities: &IndexMap<String, String>,
    ) -> Result<()> {
        let now = self.identities(tables)?;
        match now.iter().find(|(name, identity)| identities.get(*name) != Some(*identity)) {
            None => Ok(()),
            Some((name, _)) => Err(RunError::Data(format!(
                "source {name} was changed while it was read; leave the files of sources alone while a training starts, \
                 then start again"
            ))),
        }
    }

    /// Generates the files that do not exist yet with these parameters.
    ///
    /// # Errors
    /// The disk; a file of the same name that was not generated.
    pub fn generate(&self, folder: &Folder, events: &Events) -> Result<()> {
        for (name, made) in self.generated {
            let files = made.sources.iter().map(|(key, source)| (key.clone(), self.paths(source)));
            let generation = generation(made, files.collect())?;
            let file = format!("{FOLDER}/{name}.parquet");
            let path = folder.path().join(&file);
            if anyflow_datasets::generated(&generation, &path) {
                continue;
            }
            keep_foreign(&path)?;
            folder.make_folder(FOLDER)?;
            events.note(format!("generating {} rows of {}: {}", made.rows, made.generate, path.display()));
            generate_into(&generation, folder.create(&file)?)?;
        }
        Ok(())
    }

    fn paths(&self, name: &str) -> Vec<PathBuf> {
        self.files.get(name).into_iter().flatten().map(PathBuf::from).collect()
    }
}

/// The planner's words as types of the datasets.
fn generation(made: &Generated, files: IndexMap<String, Vec<PathBuf>>) -> Result<Generation> {
    let unknown = || RunError::Internal(format!("the datasets do not know the generator `{}`", made.generate));
    let generator = Generator::named(&made.generate).ok_or_else(unknown)?;
    Generation::new(generator, made.rows, made.seed).with(&made.parameters, files).map_err(RunError::Internal)
}

/// Refuses to overwrite a file that no generator made.
fn keep_foreign(path: &Path) -> Result<()> {
    let made = |dataset: Dataset| dataset.schema().metadata().contains_key(GENERATED_KEY);
    if !path.exists() || Dataset::open(&[path.to_path_buf()]).is_ok_and(made) {
        return Ok(());
    }
    Err(RunError::Data(format!(
        "{}: is not a generated file, and this job would overwrite it; choose another --output, or move the file away",
        path.display()
    )))
}
