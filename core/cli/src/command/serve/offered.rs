//! A pipeline that the server offers.

use std::path::Path;
use std::sync::Arc;

use anyflow_plan::plan::{Job, RunPlan};
use anyflow_plan::{Format, changed_text, explain, resolved_files, without_inputs};
use anyflow_server::{Changed, Pipeline, PipelineTexts, PlanRefused, RunChanges};

use crate::catalog::InstalledPlugins;
use crate::command::run::compile_pipeline;
use crate::compiled::{self, Compiled, Recognised};
use crate::console::Console;
use crate::error::{CliError, Result};
use crate::order;

/// A pipeline's text, to compile it again with the changes of a run.
struct Offered {
    file: Recognised,
    plugins: Arc<InstalledPlugins>,
}

/// Checks a pipeline, and finds which of its inputs are optional.
///
/// # Errors
/// Everything that is wrong with the file, or a plugin that cannot be loaded.
pub fn pipeline(path: &Path, plugins: &Arc<InstalledPlugins>, console: &Console) -> Result<Pipeline> {
    let file = Recognised::read(path)?;
    let compiled = compile_pipeline(file.clone(), &[], None, plugins)?;
    compiled.warn(console);
    let graph = explain(&compiled.job, Format::Svg);
    let text = file.source.text.clone();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let plan = run_plan(compiled.job)?;
    let offered = Offered { file, plugins: plugins.clone() };
    let is_optional = |input: &&String| {
        let without = RunChanges { without: vec![(*input).clone()], ..RunChanges::default() };
        offered.plan(&without).is_ok()
    };
    let optional = plan.inputs.keys().filter(is_optional).cloned().collect();
    Ok(Pipeline { file: name, text, plan, graph, optional, changed: Box::new(offered), plans: Default::default() })
}

impl Offered {
    fn compiled(&self, changes: &RunChanges) -> Result<Compiled, PlanRefused> {
        let RunChanges { seed, set, without } = changes;
        let mut file = self.file.clone();
        if !without.is_empty() {
            let left = without_inputs(&file.source, without);
            file.source =
                left.map_err(|needed| PlanRefused { code: "needed-input".into(), text: needed.to_string() })?;
        }
        compile_pipeline(file, set, *seed, &self.plugins).map_err(refused)
    }
}

impl Changed for Offered {
    fn plan(&self, changes: &RunChanges) -> Result<RunPlan, PlanRefused> {
        run_plan(self.compiled(changes)?.job).map_err(refused)
    }

    fn texts(&self, changes: &RunChanges) -> Result<PipelineTexts, PlanRefused> {
        let Compiled { sources, overrides, .. } = self.compiled(changes)?;
        let [pipeline, model, ..] = sources.as_slice() else {
            return Err(refused(CliError::internal("a pipeline without a model")));
        };
        let of_plan = |errors| refused(CliError::plan(errors, sources.clone()));
        let beside = changed_text(pipeline, &overrides).map_err(of_plan)?;
        let folder = order::absolute(Path::new(".")).map_err(refused)?;
        let [alone, model] = resolved_files(pipeline, model, &overrides, &folder).map_err(of_plan)?;
        Ok(PipelineTexts { beside, alone: alone.text, model: model.text })
    }
}

fn run_plan(mut job: Job) -> Result<RunPlan> {
    compiled::absolute(&mut job);
    match job {
        Job::Run(plan) => Ok(plan),
        Job::Train(_) | Job::Eval(_) => Err(CliError::internal("a pipeline is not a run")),
    }
}

/// The errors of a changed pipeline, without their places: clients do not see the files.
fn refused(error: CliError) -> PlanRefused {
    match error {
        CliError::Plan { errors, .. } => {
            let code = errors.codes().first().cloned().unwrap_or_else(|| "plan".into());
            let texts: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
            PlanRefused { code, text: texts.join("; ") }
        }
        other => PlanRefused { code: "plan".into(), text: other.to_string() },
    }
}
