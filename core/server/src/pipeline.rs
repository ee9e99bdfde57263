//! A pipeline that a server offers, and what clients may know and change of it.

use std::sync::{Arc, Mutex, PoisonError};

use anyflow_config::{Kinds, Sampler};
use anyflow_datasets::Feature;
use anyflow_plan::descriptor::CellKind;
use anyflow_plan::plan::{Component, Form, Op, RunPlan, Step, Type};
use anyflow_plan::seeds::{self, Drawing};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::cells::InputColumn;

/// Plans that are kept.
const MOST_PLANS: usize = 64;
/// Keys of a node that clients may change. None of them names a file.
const CHANGEABLE: [&str; 3] = ["sampler", "guidance", "seed"];

/// A pipeline.
pub struct Pipeline {
    /// The name of its file, without folders.
    pub file: String,
    /// Its YAML.
    pub text: String,
    /// Its plan as written.
    pub plan: RunPlan,
    /// Its graph as SVG.
    pub graph: String,
    /// Inputs that a run may leave out, each alone.
    pub optional: Vec<String>,
    /// Changes it.
    pub changed: Box<dyn Changed>,
    /// The plans of the last changes, which many requests share.
    pub plans: Mutex<IndexMap<RunChanges, Arc<RunPlan>>>,
}

/// Changes a pipeline.
pub trait Changed: Send + Sync {
    /// Compiles it.
    ///
    /// # Errors
    /// The changed pipeline is wrong.
    fn plan(&self, changes: &RunChanges) -> Result<RunPlan, PlanRefused>;

    /// Its files.
    ///
    /// # Errors
    /// As [`Changed::plan`].
    fn texts(&self, changes: &RunChanges) -> Result<PipelineTexts, PlanRefused>;
}

/// The files of a changed pipeline.
pub struct PipelineTexts {
    /// For a file beside the pipeline's own: it names the same model.
    pub beside: String,
    /// For a file beside that of the model below.
    pub alone: String,
    /// The model, with absolute paths.
    pub model: String,
}

/// Changes of a pipeline for one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RunChanges {
    /// As `--seed` of `anyflow run`.
    pub seed: Option<u64>,
    /// As `--set`.
    pub set: Vec<String>,
    /// Inputs that are left out.
    pub without: Vec<String>,
}

/// A changed pipeline is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRefused {
    /// The code of the first error.
    pub code: String,
    /// All errors, without places in files.
    pub text: String,
}

impl Pipeline {
    /// The plan with changes. Plans that differ in nothing but the seed are compiled once.
    ///
    /// # Errors
    /// The changed pipeline is wrong.
    pub fn plan_of(&self, changes: &RunChanges) -> Result<RunPlan, PlanRefused> {
        let RunChanges { seed, set, without } = changes;
        let base = self.compiled(&RunChanges { seed: None, set: set.clone(), without: without.clone() })?;
        let mut plan = RunPlan::clone(&base);
        if let Some(seed) = seed {
            set_seeds(&mut plan, *seed, set);
        }
        Ok(plan)
    }

    fn compiled(&self, changes: &RunChanges) -> Result<Arc<RunPlan>, PlanRefused> {
        let plans = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans().get(changes) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(self.changed.plan(changes)?);
        let mut plans = plans();
        if plans.len() >= MOST_PLANS {
            plans.shift_remove_index(0);
        }
        plans.insert(changes.clone(), plan.clone());
        Ok(plan)
    }

    /// The columns of the inputs of a plan of this pipeline.
    pub fn input_columns(&self, plan: &RunPlan) -> Vec<InputColumn> {
        let of_input = |(name, input): (&String, &anyflow_plan::plan::Input)| {
            let Form::Cells { cell, feature } = &input.kind.form else { return None };
            let feature = Feature::declared(feature)?;
            let classes = self.codec(name).map(class_names).unwrap_or_default();
            let (input, column) = (name.clone(), input.column.clone());
            Some(InputColumn { input, column, cell: *cell, feature, classes })
        };
        plan.inputs.iter().filter_map(of_input).collect()
    }

    /// What clients may know, as JSON.
    pub fn describe(&self) -> Value {
        let RunPlan { name, model, inputs, outputs, steps, .. } = &self.plan;
        let input = |(name, input): (&String, &anyflow_plan::plan::Input)| {
            let mut shown = typed(name, &input.kind);
            shown["column"] = input.column.as_str().into();
            shown["optional"] = self.optional.contains(name).into();
            if let Some(codec) = self.codec(name) {
                shown["classes"] = class_names(codec).into();
                shown["class_count"] = codec.parameters.get("classes").cloned().unwrap_or_default();
                shown["parameters"] = numbers(codec);
            }
            shown
        };
        let output = |(column, id): (&String, &String)| {
            let kind = self.plan.values.get(id).map(|value| &value.kind);
            let kind = kind.or_else(|| self.plan.inputs.get(id).map(|input| &input.kind));
            kind.map_or_else(|| json!({"name": column}), |kind| typed(column, kind))
        };
        json!({
            "name": name,
            "file": self.file,
            "model": model.name,
            "inputs": inputs.iter().map(input).collect::<Vec<_>>(),
            "outputs": outputs.iter().map(output).collect::<Vec<_>>(),
            "nodes": steps.iter().filter_map(sampling).collect::<Vec<_>>(),
            "samplers": Sampler::FAMILY.kinds().map(|kind| kind.name).collect::<Vec<_>>(),
        })
    }

    /// Refuses a change of anything but the sampling of a node.
    ///
    /// # Errors
    /// `ApiError` with the keys that can be changed.
    pub fn check_change(&self, key: &str) -> Result<(), ApiError> {
        let nodes = self.plan.steps.iter().filter(|step| step.op.diffusion().is_some());
        let paths: Vec<String> = nodes.map(|step| step.node.replace('/', ".with.")).collect();
        let is_allowed = |path: &String| {
            let rest = key.strip_prefix(path.as_str()).and_then(|rest| rest.strip_prefix('.'));
            rest.is_some_and(|rest| CHANGEABLE.contains(&rest.split('.').next().unwrap_or_default()))
        };
        let has_name = key.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if has_name && paths.iter().any(is_allowed) {
            return Ok(());
        }
        let keys = paths.iter().flat_map(|path| CHANGEABLE.map(|key| format!("{path}.{key}")));
        let keys: Vec<String> = keys.collect();
        Err(ApiError::bad("bad-change", format!("`{key}` cannot be changed here; use one of {}", keys.join(", "))))
    }

    /// The codec that reads an input.
    fn codec(&self, input: &str) -> Option<&Component> {
        let stream = self.plan.steps.iter().find_map(|step| match &step.op {
            Op::ReadCells { stream, from, .. } if from == input => Some(stream),
            _ => None,
        })?;
        let model = &self.plan.model;
        let codec = model.streams.get(stream).map(|stream| &stream.codec);
        codec.or_else(|| model.encoded(stream).map(|prompt| &prompt.codec))
    }
}

fn class_names(codec: &Component) -> Vec<String> {
    let names = codec.parameters.get("names").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(|name| name.as_str().map(String::from)).collect()
}

/// The parameters that are numbers: sizes and rates, which help to make a fitting cell. Others may name files.
fn numbers(codec: &Component) -> Value {
    let all = codec.parameters.as_object().into_iter().flatten();
    Value::Object(all.filter(|(_, value)| value.is_number()).map(|(k, v)| (k.clone(), v.clone())).collect())
}

fn typed(name: &str, kind: &Type) -> Value {
    let mut shown = json!({"name": name, "modality": kind.modality});
    if let Form::Cells { cell, feature } = &kind.form {
        let (cell, depth) = match cell {
            CellKind::Bytes => ("bytes", None),
            CellKind::Utf8 => ("text", None),
            CellKind::I64 => ("integer", None),
            CellKind::F64 => ("number", None),
            CellKind::List(depth) => ("list", Some(*depth)),
            CellKind::Files => ("files", None),
        };
        shown["cell"] = cell.into();
        shown["depth"] = depth.into();
        shown["feature"] = feature.as_str().into();
    }
    shown
}

/// Replaces the seeds of a plan, as `--seed` of `anyflow run` does. Those that a change sets stay.
fn set_seeds(plan: &mut RunPlan, seed: u64, set: &[String]) {
    let nodes: Vec<String> =
        plan.steps.iter().filter(|step| step.op.diffusion().is_some()).map(|step| step.node.clone()).collect();
    let drawing: Vec<Drawing> = nodes.iter().map(|node| Drawing { node, written: None }).collect();
    let new = seeds::of_nodes(seed, &drawing);
    let diffusions = plan.steps.iter_mut().filter_map(|step| step.op.diffusion_mut());
    for ((diffusion, node), new) in diffusions.zip(&nodes).zip(new) {
        let key = format!("{}.seed=", node.replace('/', ".with."));
        if !set.iter().any(|change| change.starts_with(&key)) {
            diffusion.seed = new;
        }
    }
}

/// A node that samples.
fn sampling(step: &Step) -> Option<Value> {
    let diffusion = step.op.diffusion()?;
    Some(json!({
        "node": step.node,
        "key": step.node.replace('/', ".with."),
        "sampler": diffusion.sampler,
        "guidance": diffusion.guidance,
        "seed": diffusion.seed,
    }))
}
