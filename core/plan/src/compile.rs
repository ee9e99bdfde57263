//! The entry points: texts and descriptors in, a plan or all errors out.

use indexmap::IndexMap;

use crate::descriptor::{CellKind, PluginDescriptor};
use crate::error::{Errors, Report, Warning};
use crate::plan::{EvalPlan, RunPlan, TrainPlan};
use crate::source::Source;

/// The plugins that were found.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Plugin name -> its description and the path of its library.
    pub plugins: IndexMap<String, (PluginDescriptor, String)>,
}

/// A value given on the command line in place of the file's: `joint.sampler.steps=50`.
#[derive(Clone, Debug)]
pub struct Override {
    pub(crate) text: String,
}

impl Override {
    /// Reads `a.b=c`; the value is YAML.
    ///
    /// # Errors
    /// No `=`, an empty name in the path, or a value that is no YAML.
    pub fn parse(text: &str) -> Result<Self, Errors> {
        Ok(Override { text: text.to_string() })
    }
}

/// What a file is, by its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Has `nodes`.
    Pipeline,
    /// Has `streams`.
    Model,
    /// Has `stages`.
    Training,
    /// Has `tasks` and `judges`.
    Evaluation,
}

fn todo<T>(source: &Source) -> Result<T, Errors> {
    Err(Report::default().into_errors(&[source], 1))
}

/// What a file is.
///
/// # Errors
/// No YAML, or a file without any of the keys that tell.
pub fn kind_of(source: &Source) -> Result<FileKind, Errors> {
    todo(source)
}

/// Path of the model that a pipeline, training or evaluation names, joined to its folder.
///
/// # Errors
/// No YAML, or no `model`.
pub fn model_path(source: &Source) -> Result<String, Errors> {
    todo(source)
}

/// Compiles a pipeline.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn compile_run(
    pipeline: &Source,
    _model: &Source,
    _catalog: &Catalog,
    _overrides: &[Override],
) -> Result<(RunPlan, Vec<Warning>), Errors> {
    todo(pipeline)
}

/// Compiles a training; `data_root` is the folder of its sources, by default that of the file.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn compile_train(
    training: &Source,
    _model: &Source,
    _catalog: &Catalog,
    _overrides: &[Override],
    _data_root: Option<&str>,
) -> Result<(TrainPlan, Vec<Warning>), Errors> {
    todo(training)
}

/// Compiles an evaluation; `data_root` is the folder of its sources, by default that of the file.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn compile_eval(
    evaluation: &Source,
    _model: &Source,
    _catalog: &Catalog,
    _overrides: &[Override],
    _data_root: Option<&str>,
) -> Result<(EvalPlan, Vec<Warning>), Errors> {
    todo(evaluation)
}

/// Checks the columns of a dataset against the inputs of a plan; a column whose kind is `None` is of no kind that a
/// codec reads.
///
/// # Errors
/// A column that is missing, or whose cells are of another kind.
pub fn check_inputs(_plan: &RunPlan, _columns: &[(String, Option<CellKind>)]) -> Result<(), Errors> {
    Ok(())
}
