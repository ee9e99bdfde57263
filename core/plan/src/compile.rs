//! The entry points: texts and descriptors in, a plan or all errors out.

mod left_out;
mod recognise;
mod resolved;

use crate::catalog::Catalog;
use crate::check::{RULES, inputs};
use crate::descriptor::CellKind;
use crate::diagnostic::Warning;
use crate::error::{Errors, Report};
use crate::graph::{ModelGraph, resolve_evaluation, resolve_model, resolve_pipeline, resolve_training};
use crate::overrides::{self, Override};
use crate::plan::{EvalPlan, Model, RunPlan, TrainPlan};
use crate::source::{Source, SourceId, with_includes};
use crate::spec;
use crate::yaml::{self, Node};
use crate::{include, lower};

pub use left_out::{InputNeeded, without_inputs};
pub use recognise::{FileKind, kind_of, model_paths};
pub use resolved::{ResolvedFile, changed_text, resolved_files};

/// Compiles a pipeline.
///
/// # Errors
/// All errors in the files.
pub fn compile_run(
    pipeline: &Source,
    model: &Source,
    catalog: &Catalog,
    overrides: &[Override],
) -> Result<(RunPlan, Vec<Warning>), Errors> {
    let files = with_includes(&[pipeline, model]);
    with_files(FileKind::Pipeline, pipeline, &[model], catalog, overrides, |root, graphs, report| {
        let spec = spec::pipeline(root, &files, report)?;
        let graph = resolve_pipeline(&spec, graphs.first()?, catalog, report);
        RULES.iter().for_each(|rule| rule.pipeline(&graph, report));
        report.passed()?;
        lower::run::lower(&graph, pipeline)
    })
}

/// Checks the columns of a dataset against the inputs of a plan. The kind of a column is `None` if no codec can read it.
/// `pipeline` and `overrides` must be those of the plan: errors point into them.
///
/// # Errors
/// A missing column, or a column with cells of another kind.
pub fn check_inputs(
    plan: &RunPlan,
    pipeline: &Source,
    overrides: &[Override],
    columns: &[(String, Option<CellKind>)],
) -> Result<(), Errors> {
    // The model keeps its id, although no error points into it.
    let model = Source::new(plan.model.source.clone(), "");
    let files = with_includes(&[pipeline, &model]);
    // Both were compiled already, so they have no errors.
    let spec = read_main(pipeline, FileKind::Pipeline, overrides, &files, &mut Report::default())
        .and_then(|root| spec::pipeline(&root, &files, &mut Report::default()));
    let mut report = Report::default();
    inputs::check(plan, spec.as_ref(), columns, &mut report);
    if !report.failed() {
        return Ok(());
    }
    let texts = overrides::sources(overrides);
    let sources: Vec<&Source> = files.iter().copied().chain(&texts).collect();
    Err(report.into_errors(&sources, files.len()))
}

/// Compiles a training. `data_root` is the folder of its sources, by default that of the file.
///
/// # Errors
/// All errors in the files.
pub fn compile_train(
    training: &Source,
    model: &Source,
    catalog: &Catalog,
    overrides: &[Override],
    data_root: Option<&str>,
) -> Result<(TrainPlan, Vec<Warning>), Errors> {
    with_files(FileKind::Training, training, &[model], catalog, overrides, |root, graphs, report| {
        let spec = spec::training(root, report)?;
        let graph = resolve_training(&spec, graphs.first()?, catalog, report);
        RULES.iter().for_each(|rule| rule.training(&graph, report));
        report.passed()?;
        lower::training::lower(&graph, training, data_root)
    })
}

/// Compiles an evaluation. `models` are its own and those of its variants, in the order of [`model_paths`]. `data_root` is
/// the folder of its sources, by default that of the file.
///
/// # Errors
/// All errors in the files.
pub fn compile_eval(
    evaluation: &Source,
    models: &[&Source],
    catalog: &Catalog,
    overrides: &[Override],
    data_root: Option<&str>,
) -> Result<(EvalPlan, Vec<Warning>), Errors> {
    with_files(FileKind::Evaluation, evaluation, models, catalog, overrides, |root, graphs, report| {
        let spec = spec::evaluation(root, report)?;
        let graph = resolve_evaluation(&spec, graphs, evaluation, catalog, report)?;
        RULES.iter().for_each(|rule| rule.evaluation(&graph, report));
        report.passed()?;
        lower::evaluation::lower(&graph, evaluation, data_root)
    })
}

/// Compiles a model alone, with the checks of every file that uses it. Its weights need not exist.
///
/// # Errors
/// All errors in the file.
pub fn compile_model(
    model: &Source,
    catalog: &Catalog,
    overrides: &[Override],
) -> Result<(Model, Vec<Warning>), Errors> {
    let texts = overrides::sources(overrides);
    let files = with_includes(&[model]);
    let sources: Vec<&Source> = files.iter().copied().chain(&texts).collect();
    let mut report = Report::default();
    let mut tree = read_model(SourceId(0), &files, &mut report);
    for (index, given) in overrides.iter().enumerate() {
        if let Some(tree) = &mut tree {
            overrides::apply(given, SourceId(files.len() + index), tree, FileKind::Model, &mut report);
        }
    }
    let graph = tree.and_then(|tree| resolve(tree, model, &files, catalog, &mut report));
    report.finish(graph.and_then(|graph| graph.plan()), &sources, files.len())
}

/// The tree of the model of this id among the files, with what it inherits.
fn read_model(id: SourceId, files: &[&Source], report: &mut Report) -> Option<Node> {
    let root = yaml::parse(&files.get(id.0)?.text, id, report)?;
    include::inherited(root, id, files, report)
}

fn resolve<'a>(
    mut root: Node,
    model: &Source,
    files: &[&Source],
    catalog: &'a Catalog,
    report: &mut Report,
) -> Option<ModelGraph<'a>> {
    include::with_words(&mut root, files, report);
    let spec = spec::model(&root, report)?;
    let graph = resolve_model(&spec, model, catalog, report);
    RULES.iter().for_each(|rule| rule.model(&spec, &graph, report));
    Some(graph)
}

/// The id of the first model among the sources of a compilation. Overrides follow the last model.
const MODEL: SourceId = SourceId(1);

/// Reads all files, applies the overrides to the first, resolves the models, and compiles.
fn with_files<T>(
    kind: FileKind,
    main: &Source,
    models: &[&Source],
    catalog: &Catalog,
    overrides: &[Override],
    compile: impl FnOnce(&Node, &[ModelGraph], &mut Report) -> Option<T>,
) -> Result<(T, Vec<Warning>), Errors> {
    let texts = overrides::sources(overrides);
    let named: Vec<&Source> = [main].into_iter().chain(models.iter().copied()).collect();
    let files = with_includes(&named);
    let sources: Vec<&Source> = files.iter().copied().chain(&texts).collect();
    let mut report = Report::default();
    let Trees { main: root, models: trees } = read_trees(kind, &named, overrides, &files, &mut report);
    let read = |(tree, model): (Option<Node>, &&Source)| resolve(tree?, model, &files, catalog, &mut report);
    let graphs: Vec<Option<ModelGraph>> = trees.into_iter().zip(models).map(read).collect();
    let graphs: Option<Vec<ModelGraph>> = graphs.into_iter().collect();
    let plan = root.zip(graphs.as_deref()).and_then(|(root, graphs)| compile(&root, graphs, &mut report));
    report.finish(plan, &sources, files.len())
}

/// A file and the models that it names, as read, with the overrides applied; `None` for one that is not valid YAML.
struct Trees {
    main: Option<Node>,
    models: Vec<Option<Node>>,
}

/// Reads the first of `named` as the file itself, and the others as its models.
fn read_trees(
    kind: FileKind,
    named: &[&Source],
    overrides: &[Override],
    files: &[&Source],
    report: &mut Report,
) -> Trees {
    let main = named.first().and_then(|main| read_main(main, kind, overrides, files, report));
    let models = (MODEL.0..named.len()).map(|index| read_model(SourceId(index), files, report));
    let mut models: Vec<Option<Node>> = models.collect();
    // The first model is the one that the file itself names; the others belong to variants.
    if let (Some(main), Some(Some(model))) = (&main, models.first_mut()) {
        for (index, given) in overrides.iter().enumerate() {
            overrides::apply_to_model(given, SourceId(files.len() + index), main, kind, model, report);
        }
    }
    Trees { main, models }
}

/// The tree of the first file with the overrides applied. Their ids follow those of the files.
fn read_main(
    main: &Source,
    kind: FileKind,
    overrides: &[Override],
    files: &[&Source],
    report: &mut Report,
) -> Option<Node> {
    let mut root = yaml::parse(&main.text, SourceId(0), report)?;
    for (index, given) in overrides.iter().enumerate() {
        overrides::apply(given, SourceId(files.len() + index), &mut root, kind, report);
    }
    include::with_words(&mut root, files, report);
    Some(root)
}
