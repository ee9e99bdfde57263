//! Checks that the datasets of a training or evaluation have the columns that it reads.

use std::path::{Path, PathBuf};

use anyflow_datasets::{DatasetError, Features, Generator};
use anyflow_plan::plan::{ColumnRef, Generated, Job, Table};
use indexmap::IndexMap;

use crate::command::open;
use crate::error::{CliError, Result};

type Files = IndexMap<String, Vec<String>>;

/// The sources of a job, files and generated ones. A run has none.
fn of(job: &Job) -> Option<(&Files, &IndexMap<String, Generated>)> {
    match job {
        Job::Run(_) => None,
        Job::Train(plan) => Some((&plan.sources, &plan.generated)),
        Job::Eval(plan) => Some((&plan.sources, &plan.generated)),
    }
}

/// Opens the datasets (footers only) and checks that they have the columns that the job reads.
///
/// # Errors
/// A dataset or column that is missing.
pub fn check(job: &Job) -> Result<()> {
    let Some((files, generated)) = of(job) else { return Ok(()) };
    for (name, paths) in files {
        let columns = columns_of(job, name);
        match generated.get(name) {
            _ if columns.is_empty() => {}
            Some(made) => {
                let unknown = || {
                    CliError::internal(format!(
                        "generator `{0}` is known to the planner, but not to the datasets",
                        made.generate
                    ))
                };
                let features = Generator::named(&made.generate).ok_or_else(unknown)?.features();
                columns.into_iter().try_for_each(|column| has(&features, column))?;
            }
            None => {
                let dataset = open(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())?;
                columns.into_iter().try_for_each(|column| dataset.column(column).map(drop))?;
            }
        }
    }
    Ok(())
}

fn has(features: &Features, column: &str) -> Result<()> {
    if features.contains_key(column) {
        return Ok(());
    }
    Err(DatasetError::unknown_column(column, features.keys()).into())
}

/// The columns that a job reads from a source.
fn columns_of<'a>(job: &'a Job, source: &str) -> Vec<&'a str> {
    let of_table =
        |table: &'a Table| of_source(table.columns.values().chain(&table.class), table.join.as_deref(), source);
    match job {
        Job::Run(_) => Vec::new(),
        Job::Train(plan) => plan.data.values().flat_map(of_table).collect(),
        Job::Eval(plan) => {
            let reference = of_source(plan.reference.values(), None, source);
            of_table(&plan.data).into_iter().chain(reference).collect()
        }
    }
}

fn of_source<'a>(references: impl Iterator<Item = &'a ColumnRef>, join: Option<&'a str>, source: &str) -> Vec<&'a str> {
    let mut columns: Vec<&str> = references.filter(|r| r.source == source).map(|r| r.column.as_str()).collect();
    if !columns.is_empty() {
        columns.extend(join);
    }
    columns
}

/// Moves generated files into the output folder, where the engine writes them.
pub fn place(job: &mut Job, output: &Path) {
    let (files, generated) = match job {
        Job::Run(_) => return,
        Job::Train(plan) => (&mut plan.sources, &plan.generated),
        Job::Eval(plan) => (&mut plan.sources, &plan.generated),
    };
    let named = files.iter_mut().filter(|(name, _)| generated.contains_key(*name));
    named.flat_map(|(_, paths)| paths).for_each(|path| *path = output.join(&path).display().to_string());
}
