//! Compiles a YAML file to a checked job. Reads files, but no tensors.

mod absolute;
mod sources;

use std::path::Path;

use anyflow_plan::descriptor::CellKind;
use anyflow_plan::plan::{Checkpoint, Component, Job, Model, PromptConfig, ScorerConfig, WeightsPart};
use anyflow_plan::{
    Error, Errors, FileKind, Override, Source, Warning, compile_eval, compile_model, compile_run, compile_train,
};
use anyflow_weights::KeyMap;
use indexmap::IndexMap;

pub use absolute::absolute;
use absolute::fix_model;
use sources::{models, read};

use crate::catalog::InstalledPlugins;
use crate::console::Console;
use crate::error::{CliError, Result};
use crate::{paths, regular};

/// A job with the texts that its messages quote.
pub struct Compiled {
    /// The plan.
    pub job: Job,
    /// Warnings about the files.
    pub warnings: Vec<Warning>,
    /// The texts: the file itself, then its models.
    pub sources: Vec<Source>,
    /// The values of `--set`.
    pub overrides: Vec<Override>,
}

/// A YAML file and its kind.
#[derive(Clone)]
pub struct Recognised {
    /// Its text.
    pub source: Source,
    /// Its kind.
    pub kind: FileKind,
}

impl Recognised {
    /// Reads a file and finds its kind.
    ///
    /// # Errors
    /// It cannot be read, or its kind is unknown.
    pub fn read(path: &Path) -> Result<Recognised> {
        let source = read(path, None)?;
        match anyflow_plan::kind_of(&source) {
            Ok(kind) => Ok(Recognised { source, kind }),
            Err(errors) => Err(CliError::plan(errors, vec![source])),
        }
    }

    /// Refuses a file of another kind and names the command that takes it.
    ///
    /// # Errors
    /// [`CliError::Usage`].
    pub fn expect(self, kind: FileKind) -> Result<Recognised> {
        if self.kind == kind {
            return Ok(self);
        }
        let found = word(self.kind);
        let wanted = word(kind);
        let command = match self.kind {
            FileKind::Pipeline => "run it with `anyflow run`",
            FileKind::Training => "run it with `anyflow train`",
            FileKind::Evaluation => "run it with `anyflow eval`",
            FileKind::Model => "name a pipeline that uses it",
        };
        Err(CliError::Usage(format!("{} is {found}, but this command takes {wanted}; {command}", self.source.path)))
    }

    /// Compiles a pipeline, training or evaluation.
    ///
    /// # Errors
    /// Everything that is wrong with the files, or a plugin that cannot be loaded.
    pub fn compile(self, plugins: &InstalledPlugins, overrides: &[String], data: Option<&Path>) -> Result<Compiled> {
        let overrides = parsed(overrides)?;
        let models = models(&self.source)?;
        let source = &self.source;
        let catalog = plugins.catalog();
        let data = data.map(paths::text).transpose()?;
        let data = data.as_deref();
        let compiled = match self.kind {
            FileKind::Pipeline => named(compile_run(source, &models[0], &catalog, &overrides), Job::Run),
            FileKind::Training => named(compile_train(source, &models[0], &catalog, &overrides, data), Job::Train),
            FileKind::Evaluation => {
                let models: Vec<&Source> = models.iter().collect();
                named(compile_eval(source, &models, &catalog, &overrides, data), Job::Eval)
            }
            FileKind::Model => return Err(CliError::Usage(format!("{} is a model, not a job", source.path))),
        };
        let sources: Vec<Source> = std::iter::once(self.source).chain(models).collect();
        let (job, warnings) = match compiled {
            Ok(compiled) => compiled,
            Err(errors) => return Err(unplanned(errors, sources, plugins)),
        };
        components(&job).try_for_each(|component| plugins.ensure_usable(&component.plugin))?;
        for path in weights(&job).into_iter().map(Path::new) {
            let named_by = Some(sources[0].path.clone());
            let unusable = |source| CliError::Read { path: path.into(), named_by, source };
            regular::ensure(path).map_err(unusable)?;
        }
        for part in parts(&job) {
            ensure_part(part, &sources[0].path)?;
        }
        Ok(Compiled { job, warnings, sources, overrides })
    }

    /// Checks a model by itself and shows its warnings. Returns it with the paths of its files made absolute.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or a plugin that cannot be loaded.
    pub fn check_model(
        self,
        plugins: &InstalledPlugins,
        overrides: &[String],
        console: &Console,
    ) -> Result<(Model, Vec<Warning>)> {
        match compile_model(&self.source, &plugins.catalog(), &parsed(overrides)?) {
            Ok((mut model, warnings)) => {
                of_streams(&model).try_for_each(|component| plugins.ensure_usable(&component.plugin))?;
                warn(&warnings, &[&self.source], console);
                check_maps(&model)?;
                fix_model(&mut model);
                Ok((model, warnings))
            }
            Err(errors) => Err(unplanned(errors, vec![self.source], plugins)),
        }
    }
}

fn parsed(overrides: &[String]) -> Result<Vec<Override>> {
    let overrides = overrides.iter().map(|text| Override::parse(text)).collect::<Result<Vec<_>, _>>();
    overrides.map_err(|errors| CliError::plan(errors, Vec::new()))
}

/// The errors of files; for an unknown plugin with the folders that were searched.
fn unplanned(errors: Errors, sources: Vec<Source>, plugins: &InstalledPlugins) -> CliError {
    let names_plugin =
        |error: &Error| error.code == "unknown-name" && error.parts.get("what").is_some_and(|what| what == "plugin");
    let note = errors.iter().any(names_plugin).then(|| plugins.searched());
    CliError::Plan { errors, sources, note }
}

impl Compiled {
    /// Shows the warnings.
    pub fn warn(&self, console: &Console) {
        warn(&self.warnings, &self.sources.iter().collect::<Vec<_>>(), console);
    }

    /// Compares the inputs of a pipeline with the columns of a dataset.
    ///
    /// # Errors
    /// [`CliError::Plan`], pointing at the inputs that do not fit.
    pub fn check_inputs(&self, columns: &[(String, Option<CellKind>)]) -> Result<()> {
        let (Job::Run(plan), Some(pipeline)) = (&self.job, self.sources.first()) else { return Ok(()) };
        let unfit = |errors| CliError::plan(errors, self.sources.clone());
        anyflow_plan::check_inputs(plan, pipeline, &self.overrides, columns).map_err(unfit)
    }
}

fn warn(warnings: &[Warning], sources: &[&Source], console: &Console) {
    warnings.iter().for_each(|warning| console.note(&warning.render(sources, console.color)));
}

/// The kind of a file with its article, for messages.
pub fn word(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Pipeline => "a pipeline",
        FileKind::Model => "a model",
        FileKind::Training => "a training",
        FileKind::Evaluation => "an evaluation",
    }
}

/// The model of a job.
pub fn model_of(job: &Job) -> &Model {
    match job {
        Job::Run(plan) => &plan.model,
        Job::Train(plan) => &plan.model,
        Job::Eval(plan) => &plan.model,
    }
}

/// The name of a job, and the file it came from.
pub fn name_of(job: &Job) -> (&str, &str) {
    match job {
        Job::Run(plan) => (&plan.name, &plan.source),
        Job::Train(plan) => (&plan.name, &plan.source),
        Job::Eval(plan) => (&plan.name, &plan.source),
    }
}

/// Every codec and module that a job creates.
pub fn components(job: &Job) -> impl Iterator<Item = &Component> {
    let scorers: Vec<&ScorerConfig> = match job {
        Job::Run(plan) => plan.scorers.values().collect(),
        Job::Train(plan) => plan.scorers.values().collect(),
        Job::Eval(plan) => plan.judges.values().collect(),
    };
    let models = std::iter::once(model_of(job)).chain(other_models(job));
    models.flat_map(of_streams).chain(scorers.into_iter().filter_map(|scorer| scorer.module.as_ref()))
}

/// The models of variants that bring their own.
fn other_models(job: &Job) -> Vec<&Model> {
    match job {
        Job::Eval(plan) => plan.variants.values().filter_map(|variant| variant.model.as_ref()).collect(),
        Job::Run(_) | Job::Train(_) => Vec::new(),
    }
}

fn of_streams(model: &Model) -> impl Iterator<Item = &Component> {
    let of_prompts =
        model.prompts.values().filter_map(PromptConfig::encoded).flat_map(|prompt| [&prompt.codec, &prompt.module]);
    let of_streams = model.streams.values().flat_map(|stream| std::iter::once(&stream.codec).chain(&stream.module));
    of_streams.chain(of_prompts)
}

/// Every weights file that a job names.
fn weights(job: &Job) -> Vec<&String> {
    fn of(scorers: &IndexMap<String, ScorerConfig>) -> impl Iterator<Item = &String> {
        scorers.values().filter_map(|scorer| scorer.checkpoint.as_ref())
    }
    fn of_model(model: &Model) -> Vec<&String> {
        match &model.checkpoint {
            Some(Checkpoint::File(file)) => vec![file],
            Some(Checkpoint::Parts(_)) | None => Vec::new(),
        }
    }
    match job {
        Job::Run(plan) => of_model(&plan.model).into_iter().chain(of(&plan.scorers)).collect(),
        Job::Train(plan) => plan.start.iter().chain(of(&plan.scorers)).collect(),
        Job::Eval(plan) => {
            let variants = plan.variants.values();
            let own = variants.flat_map(|v| v.weights.iter().chain(v.model.iter().flat_map(of_model)));
            of_model(&plan.model).into_iter().chain(own).chain(of(&plan.judges)).collect()
        }
    }
}

/// Every part of a model or a training whose weights are in published files.
fn parts(job: &Job) -> Vec<&WeightsPart> {
    let taken = match job {
        Job::Train(plan) => Some(plan.take.values()),
        Job::Run(_) | Job::Eval(_) => None,
    };
    let models = std::iter::once(model_of(job)).chain(other_models(job));
    models.flat_map(parts_of).chain(taken.into_iter().flatten()).collect()
}

fn parts_of(model: &Model) -> impl Iterator<Item = &WeightsPart> {
    let parts = match &model.checkpoint {
        Some(Checkpoint::Parts(parts)) => Some(parts.values()),
        Some(Checkpoint::File(_)) | None => None,
    };
    parts.into_iter().flatten()
}

/// Refuses pipes and devices in the place of published files, and unknown key maps. A file may be missing.
fn ensure_part(part: &WeightsPart, named_by: &str) -> Result<()> {
    let path = Path::new(&part.from);
    if !path.is_dir() {
        let unusable = |source| CliError::Read { path: path.into(), named_by: Some(named_by.into()), source };
        regular::ensure(path).map_err(unusable)?;
    }
    match &part.map {
        Some(map) => KeyMap::find(map).map(drop).map_err(CliError::from),
        None => Ok(()),
    }
}

/// Refuses unknown key maps.
fn check_maps(model: &Model) -> Result<()> {
    parts_of(model).try_for_each(|part| ensure_part(part, &model.source))
}

fn named<P>(
    compiled: Result<(P, Vec<Warning>), Errors>,
    job: impl FnOnce(P) -> Job,
) -> Result<(Job, Vec<Warning>), Errors> {
    compiled.map(|(plan, warnings)| (job(plan), warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(pipeline: &str, model: Option<&str>) -> CliError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.yaml");
        std::fs::write(&path, pipeline).unwrap();
        if let Some(model) = model {
            std::fs::write(folder.path().join("model.yaml"), model).unwrap();
        }
        let compiled = Recognised::read(&path).and_then(|file| file.compile(&InstalledPlugins::default(), &[], None));
        compiled.err().unwrap()
    }

    const PIPELINE: &str = "anyflow: 1\nname: p\nmodel: model.yaml\nnodes: {a: {encod: b/c}}\noutputs: {}\n";

    #[test]
    fn plan_errors_have_their_position_and_exit_code_2() {
        let error = compile(PIPELINE, Some("anyflow: 1\nname: m\nstreams: {}\ndenoisers: {}\n"));
        let text = error.render(false);
        assert!(text.contains("bad.yaml:4:13") && text.contains("nodes: {a: {encod: b/c}}"), "{text}");
        assert_eq!(error.exit_code(), 2);
        let places = &error.json()["error"]["errors"];
        assert!(places.as_array().unwrap().iter().any(|error| error["place"]["line"] == 4), "{places}");
    }

    #[test]
    fn a_yaml_syntax_error_names_its_line() {
        let text = compile("anyflow: 1\nnodes: {\n", None).render(false);
        assert!(text.contains("bad.yaml:"), "{text}");
    }

    #[test]
    fn an_error_in_a_model_file_is_underlined() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.yaml");
        std::fs::write(
            &path,
            "anyflow: 1\nname: m\nstreams:\n  a: {codec: nothing/there, latent: [1]}\ndenoisers: {}\n",
        )
        .unwrap();
        let console = Console { json: true, color: false, terminal: false, events: false };
        let error =
            Recognised::read(&path).and_then(|file| file.check_model(&InstalledPlugins::default(), &[], &console));
        let text = error.unwrap_err().render(false);
        assert!(text.contains("model.yaml:4:14") && text.contains("^^^^^^^"), "{text}");
    }

    #[test]
    fn an_unknown_plugin_names_the_folders_that_were_searched() {
        let model = "anyflow: 1\nname: m\nstreams: {a: {codec: nothing/there, latent: [1]}}\ndenoisers: {}\n";
        let error = compile(PIPELINE, Some(model));
        let text = error.render(false);
        assert!(text.contains("unknown plugin `nothing`") && text.contains("ANYFLOW_PLUGINS"), "{text}");
        assert!(error.json()["error"]["note"].as_str().unwrap().contains("were searched in"), "{text}");
        assert!(!compile(PIPELINE, Some("anyflow: 1\nname: m\n")).render(false).contains("ANYFLOW_PLUGINS"));
    }

    #[test]
    fn a_missing_model_names_the_file_that_asks_for_it() {
        let error = compile(PIPELINE, None);
        assert!(matches!(&error, CliError::Read { named_by: Some(by), .. } if by.ends_with("bad.yaml")), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
