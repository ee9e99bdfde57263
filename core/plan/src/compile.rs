//! The entry points: texts and descriptors in, a plan or all errors out.

use indexmap::IndexMap;

use crate::check::{cycle, types, unused};
use crate::descriptor::PluginDescriptor;
use crate::error::{Errors, Report, Warning};
use crate::graph::{ModelGraph, connect, resolve_model, resolve_node};
use crate::lower;
use crate::overrides::{self, Override};
use crate::plan::{EvalPlan, RunPlan, TrainPlan};
use crate::problem::Problem;
use crate::source::{Source, SourceId};
use crate::spec::{self, PipelineSpec};
use crate::yaml::{self, Content, Node};

/// The plugins that were found.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Plugin name -> its description and the path of its library.
    pub plugins: IndexMap<String, (PluginDescriptor, String)>,
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

/// What a file is.
///
/// # Errors
/// No YAML, or a file without any of the keys that tell.
pub fn kind_of(source: &Source) -> Result<FileKind, Errors> {
    read(source, |root, report| {
        let kind = FileKind::of(root);
        if kind.is_none() {
            let found = "it has none of the keys `nodes`, `streams`, `stages`, `tasks`".into();
            report.error(root.span, Problem::WrongFile { expected: "Anyflow".into(), found });
        }
        kind
    })
}

/// Path of the model that a pipeline, training or evaluation names, joined to its folder.
///
/// # Errors
/// No YAML, or no `model`.
pub fn model_path(source: &Source) -> Result<String, Errors> {
    read(source, |root, report| {
        let Content::Mapping(entries) = &root.content else { return None };
        let within = FileKind::of(root).map_or("the file".into(), |kind| format!("the {}", kind.name()));
        let Some(entry) = entries.iter().find(|entry| entry.key.value == "model") else {
            report.error(root.span, Problem::MissingKey { key: "model".into(), within });
            return None;
        };
        let path = crate::surface::text(&entry.node, &format!("`model` of {within}"), report)?;
        Some(source.beside(&path.value))
    })
}

/// Reads a single thing from a file.
fn read<T>(source: &Source, take: impl FnOnce(&Node, &mut Report) -> Option<T>) -> Result<T, Errors> {
    let mut report = Report::default();
    let value = yaml::parse(&source.text, SourceId(0), &mut report).and_then(|root| take(&root, &mut report));
    report.finish(value, &[source], 1).map(|(value, _)| value)
}

/// Compiles a pipeline.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn compile_run(
    pipeline: &Source,
    model: &Source,
    catalog: &Catalog,
    overrides: &[Override],
) -> Result<(RunPlan, Vec<Warning>), Errors> {
    with_files(FileKind::Pipeline, pipeline, model, catalog, overrides, |root, graph, report| {
        let spec = spec::pipeline(root, report)?;
        need_checkpoint(graph, report);
        run(&spec, graph, pipeline, catalog, report)
    })
}

fn run(
    spec: &PipelineSpec,
    model: &ModelGraph,
    source: &Source,
    catalog: &Catalog,
    report: &mut Report,
) -> Option<RunPlan> {
    let acts = spec.nodes.iter().map(|node| resolve_node(node, model, catalog, report)).collect();
    let graph = connect(spec, acts, report);
    let inputs = types::of_inputs(&graph, model, catalog, report);
    cycle::check(&graph, report);
    types::check(&graph, &inputs, model, report);
    let live = unused::live(&graph);
    unused::check(&graph, &live, report);
    if report.failed() {
        return None;
    }
    lower::run::lower(&graph, &live, &inputs, model.plan()?, source)
}

/// Compiles a training; `data_root` is the folder of its sources, by default that of the file.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn compile_train(
    training: &Source,
    model: &Source,
    catalog: &Catalog,
    overrides: &[Override],
    data_root: Option<&str>,
) -> Result<(TrainPlan, Vec<Warning>), Errors> {
    with_files(FileKind::Training, training, model, catalog, overrides, |root, graph, report| {
        let spec = spec::training(root, report)?;
        lower::training::lower(&spec, graph, training, catalog, data_root, report)
    })
}

/// Compiles an evaluation; `data_root` is the folder of its sources, by default that of the file.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn compile_eval(
    evaluation: &Source,
    model: &Source,
    catalog: &Catalog,
    overrides: &[Override],
    data_root: Option<&str>,
) -> Result<(EvalPlan, Vec<Warning>), Errors> {
    with_files(FileKind::Evaluation, evaluation, model, catalog, overrides, |root, graph, report| {
        let spec = spec::evaluation(root, report)?;
        need_checkpoint(graph, report);
        lower::evaluation::lower(&spec, graph, evaluation, catalog, data_root, report)
    })
}

/// The id of the model among the sources of a compilation; overrides come after it.
const MODEL: SourceId = SourceId(1);

/// Reads both files, applies the overrides to the first, resolves the model, and compiles.
fn with_files<T>(
    kind: FileKind,
    main: &Source,
    model: &Source,
    catalog: &Catalog,
    overrides: &[Override],
    compile: impl FnOnce(&Node, &ModelGraph, &mut Report) -> Option<T>,
) -> Result<(T, Vec<Warning>), Errors> {
    let texts: Vec<Source> = overrides.iter().enumerate().map(|(index, given)| given.source(index)).collect();
    let sources: Vec<&Source> = [main, model].into_iter().chain(&texts).collect();
    let mut report = Report::default();
    let root = yaml::parse(&main.text, SourceId(0), &mut report);
    let graph = yaml::parse(&model.text, MODEL, &mut report)
        .and_then(|root| spec::model(&root, &mut report))
        .map(|spec| resolve_model(&spec, model, catalog, &mut report));
    let root = root.map(|mut root| {
        for (index, given) in overrides.iter().enumerate() {
            overrides::apply(given, SourceId(MODEL.0 + 1 + index), &mut root, kind, &mut report);
        }
        root
    });
    let plan = root.zip(graph.as_ref()).and_then(|(root, graph)| compile(&root, graph, &mut report));
    report.finish(plan, &sources, MODEL.0 + 1)
}

/// Only a training can do without weights.
fn need_checkpoint(model: &ModelGraph, report: &mut Report) {
    if model.checkpoint.is_none() {
        let problem = Problem::MissingKey { key: "checkpoint".into(), within: "the model".into() };
        report.error(model.span, problem);
    }
}
