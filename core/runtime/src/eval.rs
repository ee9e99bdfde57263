//! Evaluation: coherence and fidelity of joint and conditional generation, measured by judges (independent classifiers).
//!
//! A judge takes what a user gets: generated arrays go through the codec to cells (a file, a word) and back. Each figure
//! is reported next to the figures of real rows and of reconstructed rows, which only went through encoder and decoder.
//! All variants (models, samplers) get the same tasks, rows, seeds and observed streams.

mod conflicts;
mod figures;
mod fit;
mod frechet;
mod held_out;
mod judging;
mod near;
mod sample;
mod samples;
mod score;
mod tasks;

use std::path::Path;

use anyflow_plan::findings::{ConflictFindings, Findings, Reconstructed, TaskFindings, VariantFindings};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{Checkpoint, EvalPlan, Model, Stream, StreamRole, Task, Variant};
use indexmap::{IndexMap, IndexSet};
use serde_json::Value;
use tch::Device;

use crate::checkpoint::Tensors;
use crate::events::Events;
use crate::sources::Sources;
use crate::{Result, RunError, Session, checkpoint, output};
use conflicts::prompts_of;
use held_out::HeldOut;
use sample::TaskSampler;

/// The file of the findings.
const RECORD: &str = "eval.json";

/// Runs every task of every variant with every seed, and writes the [`Findings`] to `eval.json`.
///
/// # Errors
/// The error that ended the evaluation; [`RunError::BelowTarget`], after everything is written, if the first variant
/// misses a threshold.
pub fn evaluate(plan: &EvalPlan, order: &Order, device: Device, events: &Events) -> Result<Value> {
    // Load all weights first, so that errors come before any row is read.
    let mut sessions = Vec::new();
    for (name, variant) in &plan.variants {
        sessions.push((name, variant, load(plan, variant, device)?));
    }
    let folder = output::open(order)?;
    Sources { files: &plan.sources, generated: &plan.generated, model: &plan.model }.generate(&folder, events)?;
    let mut held_out = HeldOut::read(plan, order, Session::new(&plan.model, device, 0)?, events)?;
    let mut findings = Findings {
        name: plan.name.clone(),
        rows: plan.options.rows,
        seeds: plan.options.seeds.clone(),
        judges: held_out.real(events)?,
        variants: IndexMap::new(),
        tasks: plan.tasks.iter().map(|(name, task)| (name.clone(), task_findings(task, &plan.model))).collect(),
        conflicts: plan.conflicts.iter().map(|(name, task)| (name.clone(), conflict_findings(task))).collect(),
    };
    let mut last = None;
    let mut samples = IndexMap::new();
    for (name, variant, session) in sessions {
        held_out.read_variant(variant, order, events)?;
        findings.variants.insert(name.clone(), variant_findings(plan, variant, &held_out, &session, &mut last)?);
        let sampler = TaskSampler::start(session, variant, model(plan, variant), device)?;
        for (index, (task_name, task)) in plan.tasks.iter().enumerate() {
            let guidance = variant.guidance.get(task_name).or(task.guidance.as_ref()).cloned();
            let task = Task { guidance, ..task.clone() };
            let part = part(plan, name, task_name);
            let answer = match &task.score {
                None => {
                    let answered = tasks::answer(&part, &task, &sampler, &held_out, events)?;
                    samples.entry(index).or_insert(answered.samples);
                    answered.answer
                }
                Some(scoring) => score::answer(&part, &task, scoring, &sampler, &held_out, events)?,
            };
            findings.tasks[task_name].variants.insert(name.clone(), answer);
        }
        for (conflict, task) in &plan.conflicts {
            let mixtures = conflicts::answer(&part(plan, name, conflict), task, &sampler, &held_out, events)?;
            findings.conflicts[conflict].variants.insert(name.clone(), mixtures);
        }
    }
    let missed = check_thresholds(&mut findings);
    let internal = |error: serde_json::Error| RunError::Internal(error.to_string());
    let text = serde_json::to_vec_pretty(&findings).map_err(internal)?;
    // Remove the old findings first, so that they are never next to another evaluation's order.
    folder.remove(RECORD)?;
    output::accept(&folder, order)?;
    samples::write(&folder, &samples)?;
    folder.write(RECORD, &text)?;
    if !missed.is_empty() {
        return Err(RunError::BelowTarget(format!("below the thresholds of {}: {}", plan.source, missed.join("; "))));
    }
    serde_json::to_value(&findings).map_err(internal)
}

/// Loads a variant's model: the weights of its checkpoint, then the variant's own `weights` over them.
fn load(plan: &EvalPlan, variant: &Variant, device: Device) -> Result<Session> {
    let mut session = Session::load(model(plan, variant), device)?;
    for file in variant.weights.iter().map(Path::new) {
        checkpoint::copy_known(&session.tensors()?, &checkpoint::read(file)?.tensors, file)?;
    }
    // They follow from the weights.
    session.set_absent_prompts(model(plan, variant))?;
    Ok(session)
}

/// The name of a variant's task in events.
fn part(plan: &EvalPlan, variant: &str, task: &str) -> String {
    if plan.variants.len() > 1 { format!("{variant}: {task}") } else { task.to_string() }
}

fn conflict_findings(conflict: &Task) -> ConflictFindings {
    ConflictFindings { between: prompts_of(&conflict.streams).into_iter().collect(), variants: IndexMap::new() }
}

fn model<'p>(plan: &'p EvalPlan, variant: &'p Variant) -> &'p Model {
    variant.model.as_ref().unwrap_or(&plan.model)
}

fn task_findings(task: &Task, model: &Model) -> TaskFindings {
    TaskFindings {
        observe: observed(task, model),
        generate: task.streams.outputs().cloned().collect(),
        min_coherence: task.options.min_coherence,
        min_top1: task.options.min_top1,
        passed: true,
        variants: IndexMap::new(),
    }
}

/// The streams and prompts that a task observes, as a whole or in part, and its planes. A vector comes with its prompt.
fn observed(task: &Task, model: &Model) -> Vec<String> {
    let is_observed = |role: &StreamRole| role.is_condition() || matches!(role, StreamRole::Inpaint { .. });
    let is_named = |name: &&String| model.streams.contains_key(*name) || model.prompts.contains_key(*name);
    let observed = task.streams.names(is_observed).filter(is_named).chain(task.planes.keys());
    observed.cloned().collect::<IndexSet<_>>().into_iter().collect()
}

fn variant_findings(
    plan: &EvalPlan,
    variant: &Variant,
    held_out: &HeldOut<'_>,
    session: &Session,
    last: &mut Option<Decoded>,
) -> Result<VariantFindings> {
    let own = model(plan, variant).checkpoint.iter().flat_map(Checkpoint::files).next();
    let file = variant.weights.last().or(own);
    Ok(VariantFindings {
        checkpoint: file.and_then(|path| Some(Path::new(path).file_name()?.to_str()?.to_string())),
        denoiser: variant.denoiser.clone(),
        sampler: variant.sampler.clone(),
        reconstructed: reconstructed(model(plan, variant), held_out, session, last)?,
    })
}

/// The figures of a variant's reconstructed rows, with everything they depend on.
struct Decoded {
    streams: Vec<Stream>,
    tensors: Tensors,
    figures: IndexMap<String, Reconstructed>,
}

/// [`HeldOut::reconstructed`], computed once for consecutive variants that only differ in their denoisers.
fn reconstructed(
    model: &Model,
    held_out: &HeldOut<'_>,
    session: &Session,
    last: &mut Option<Decoded>,
) -> Result<IndexMap<String, Reconstructed>> {
    let streams: Vec<Stream> = held_out.judges.keys().map(|stream| model.streams[stream].clone()).collect();
    let mut tensors = Tensors::new();
    for stream in held_out.judges.keys() {
        tensors.extend(session.streams[stream].tensors()?);
    }
    if let Some(known) = last.as_ref().filter(|known| known.streams == streams && known.tensors == tensors) {
        return Ok(known.figures.clone());
    }
    let figures = held_out.reconstructed(session)?;
    *last = Some(Decoded { streams, tensors, figures: figures.clone() });
    Ok(figures)
}

/// Compares the first variant with the thresholds, and returns a line for every one that it misses.
fn check_thresholds(findings: &mut Findings) -> Vec<String> {
    let mut missed = Vec::new();
    for (name, task) in &mut findings.tasks {
        let Some((_, answer)) = task.variants.first() else { continue };
        let nearest = answer.streams.values().filter_map(|stream| Some(stream.truth.as_ref()?.decisive().nearest.mean));
        // Without a comparison, no row is near.
        let nearest = nearest.reduce(f64::min).unwrap_or(0.0);
        for (what, least, mean) in
            [("", task.min_coherence, answer.coherence.mean), (" nearest", task.min_top1, nearest)]
        {
            if let Some(least) = least.filter(|least| mean < *least) {
                task.passed = false;
                missed.push(format!("{name}{what} {mean:.3} < {least}"));
            }
        }
    }
    missed
}
