//! Reads a YAML file with all files that it names.

use std::path::Path;

use anyflow_plan::{Includes, Source};

use crate::error::{CliError, Result};
use crate::{paths, regular};

/// Reads the models that a file names: its own, then those of variants.
///
/// # Errors
/// It names none, or one of them cannot be read.
pub(super) fn models(source: &Source) -> Result<Vec<Source>> {
    match anyflow_plan::model_paths(source) {
        Ok(paths) => paths.iter().map(|path| read(Path::new(path), Some(&source.path))).collect(),
        Err(errors) => Err(CliError::plan(errors, vec![source.clone()])),
    }
}

/// Reads a file with the files that are parts of it.
pub(super) fn read(path: &Path, named_by: Option<&str>) -> Result<Source> {
    let mut source = text(path, named_by)?;
    let Includes { base, words, pipelines } = anyflow_plan::includes(&source);
    if let Some(base) = base {
        let mut base = text(Path::new(&base), Some(&source.path))?;
        // The planner refuses a base that has one itself.
        base.includes = texts(&anyflow_plan::includes(&base).words, &base.path)?;
        source.includes.push(base);
    }
    source.includes.extend(texts(&words, &source.path)?);
    source.includes.extend(used(pipelines, &source.path)?);
    Ok(source)
}

/// Reads the pipelines that a pipeline uses, and those that they use, each once.
fn used(pipelines: Vec<String>, named_by: &str) -> Result<Vec<Source>> {
    let mut read: Vec<Source> = Vec::new();
    let mut waiting: Vec<(String, String)> = pipelines.into_iter().map(|path| (path, named_by.to_string())).collect();
    while let Some((path, by)) = waiting.pop() {
        if read.iter().any(|known| known.path == path) {
            continue;
        }
        let mut source = text(Path::new(&path), Some(&by))?;
        let Includes { words, pipelines, .. } = anyflow_plan::includes(&source);
        source.includes = texts(&words, &path)?;
        waiting.extend(pipelines.into_iter().map(|next| (next, path.clone())));
        read.push(source);
    }
    Ok(read)
}

fn texts(paths: &[String], named_by: &str) -> Result<Vec<Source>> {
    paths.iter().map(|path| text(Path::new(path), Some(named_by))).collect()
}

fn text(path: &Path, named_by: Option<&str>) -> Result<Source> {
    let unreadable = |source| CliError::Read { path: path.into(), named_by: named_by.map(str::to_string), source };
    Ok(Source::new(paths::text(path)?, regular::text(path).map_err(unreadable)?))
}
