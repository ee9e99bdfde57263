//! Evaluation: coherence and likeness of joint and conditional generation, told by judges that were trained apart.
//!
//! A judge reads what a user gets: generated arrays go through the codec to cells (a file, a word) and back. Beside each
//! figure stand what it is for real rows, and for rows that only went through encoder and decoder. Several variants
//! (models, samplers) are asked the same: the same tasks, rows, seeds and given streams.

mod conflicts;
mod figures;
mod fit;
mod frechet;
mod held_out;
mod judging;
mod near;
mod sample;
mod score;
mod tasks;

use std::path::Path;

use anyflow_plan::findings::{ConflictFindings, Findings, Reconstructed, TaskFindings, VariantFindings};
use anyflow_plan::order::Order;
use anyflow_plan::plan::{EvalPlan, Model, Stream, Task, Variant};
use indexmap::IndexMap;
use serde_json::Value;
use tch::Device;

use crate::checkpoint::Tensors;
use crate::events::Events;
use crate::sources::Sources;
use crate::{Result, RunError, Session, checkpoint, output};
use held_out::HeldOut;
use sample::Sampling;

/// What an evaluation found.
const RECORD: &str = "eval.json";

/// Asks every task of every variant with every seed, and writes `eval.json`: [`Findings`], in place of those of an
/// earlier evaluation.
///
/// # Errors
/// Why the evaluation cannot go on; [`RunError::BelowTarget`] after everything is written, if the first variant is below
/// what the file asks for.
pub fn evaluate(plan: &EvalPlan, order: &Order, device: Device, events: &Events) -> Result<Value> {
    // Weights first: whatever does not fit is said before any row is read.
    let load = |(name, variant)| Ok((name, variant, loaded(plan, variant, device)?));
    let sessions = plan.variants.iter().map(load).collect::<Result<Vec<(&String, &Variant, Session)>>>()?;
    let folder = output::open(order)?;
    Sources { files: &plan.sources, generated: &plan.generated }.generate(&folder, events)?;
    let mut held_out = HeldOut::read(plan, order, Session::new(&plan.model, device, 0)?, events)?;
    let mut findings = Findings {
        name: plan.name.clone(),
        rows: plan.rows,
        seeds: plan.seeds.clone(),
        judges: held_out.real(events)?,
        variants: IndexMap::new(),
        tasks: plan.tasks.iter().map(|(name, task)| (name.clone(), asked(task))).collect(),
        conflicts: plan.conflicts.iter().map(|(name, task)| (name.clone(), between(task))).collect(),
    };
    let mut last = None;
    for (name, variant, session) in sessions {
        held_out.read_given(variant, order, events)?;
        findings.variants.insert(name.clone(), found(plan, variant, &held_out, &session, &mut last)?);
        let sampling = Sampling::start(session, &variant.denoiser, &variant.sampler, device)?;
        for (task, asked) in &plan.tasks {
            let asked = Task { given: variant.given.unwrap_or(asked.given), ..asked.clone() };
            let part = part(plan, name, task);
            let answer = match &asked.score {
                None => tasks::answer(&part, &asked, &sampling, &held_out, events)?,
                Some(scoring) => score::answer(&part, &asked, scoring, &sampling, &held_out, events)?,
            };
            findings.tasks[task].variants.insert(name.clone(), answer);
        }
        for (conflict, asked) in &plan.conflicts {
            let mixtures = conflicts::answer(&part(plan, name, conflict), asked, &sampling, &held_out, events)?;
            findings.conflicts[conflict].variants.insert(name.clone(), mixtures);
        }
    }
    let below = held_to_targets(&mut findings);
    let internal = |error: serde_json::Error| RunError::Internal(error.to_string());
    let text = serde_json::to_vec_pretty(&findings).map_err(internal)?;
    // Findings never lie beside another evaluation's order.
    folder.remove(RECORD)?;
    output::accept(&folder, order)?;
    folder.write(RECORD, &text)?;
    match below.is_empty() {
        true => serde_json::to_value(&findings).map_err(internal),
        false => Err(RunError::BelowTarget(format!("below what {} asks for: {}", plan.source, below.join("; ")))),
    }
}

/// A variant's model, its weights those of the checkpoint but for what the variant has in their place.
fn loaded(plan: &EvalPlan, variant: &Variant, device: Device) -> Result<Session> {
    let session = Session::load(model(plan, variant), device)?;
    for file in variant.weights.iter().map(Path::new) {
        checkpoint::copy_known(&session.tensors()?, &checkpoint::read(file)?.tensors, file)?;
    }
    Ok(session)
}

/// What events call a task of a variant.
fn part(plan: &EvalPlan, variant: &str, task: &str) -> String {
    if plan.variants.len() > 1 { format!("{variant}: {task}") } else { task.to_string() }
}

fn between(conflict: &Task) -> ConflictFindings {
    ConflictFindings { between: conflict.condition.keys().cloned().collect(), variants: IndexMap::new() }
}

fn model<'p>(plan: &'p EvalPlan, variant: &'p Variant) -> &'p Model {
    variant.model.as_ref().unwrap_or(&plan.model)
}

fn asked(task: &Task) -> TaskFindings {
    let observe = task.observe.iter().chain(task.condition.keys()).cloned().collect();
    let generate = task.generate.iter().chain(task.score.iter().map(|score| &score.stream)).cloned().collect();
    let (at_least, nearest_at_least) = (task.at_least, task.nearest_at_least);
    TaskFindings { observe, generate, at_least, nearest_at_least, passed: true, variants: IndexMap::new() }
}

fn found(
    plan: &EvalPlan,
    variant: &Variant,
    held_out: &HeldOut<'_>,
    session: &Session,
    last: &mut Option<Decoded>,
) -> Result<VariantFindings> {
    let own = model(plan, variant).checkpoint.as_deref();
    let file = variant.weights.last().map(String::as_str).or(own);
    Ok(VariantFindings {
        checkpoint: file.and_then(|path| Some(Path::new(path).file_name()?.to_str()?.to_string())),
        denoiser: variant.denoiser.clone(),
        sampler: variant.sampler.clone(),
        reconstructed: reconstructed(model(plan, variant), held_out, session, last)?,
    })
}

/// What was said of rows that a variant encoded and decoded, with all that it depends on.
type Decoded = (Vec<Stream>, Tensors, IndexMap<String, Reconstructed>);

/// What [`HeldOut::reconstructed`] says, found once for variants that follow one another and differ in their denoisers alone.
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
    let known = last.as_ref().filter(|(of, with, _)| (of, with) == (&streams, &tensors));
    if let Some((_, _, found)) = known {
        return Ok(found.clone());
    }
    let found = held_out.reconstructed(session)?;
    *last = Some((streams, tensors, found.clone()));
    Ok(found)
}

/// Compares the first variant with what is asked; gives a line for every task that it misses.
fn held_to_targets(findings: &mut Findings) -> Vec<String> {
    let mut below = Vec::new();
    for (name, task) in &mut findings.tasks {
        let Some((_, answer)) = task.variants.first() else { continue };
        let nearest = answer.streams.values().filter_map(|stream| Some(stream.truth.as_ref()?.decisive().nearest.mean));
        // Nothing is near where nothing is compared.
        let nearest = nearest.reduce(f64::min).unwrap_or(0.0);
        for (what, least, mean) in
            [("", task.at_least, answer.coherence.mean), (" nearest", task.nearest_at_least, nearest)]
        {
            if let Some(least) = least.filter(|least| mean < *least) {
                task.passed = false;
                below.push(format!("{name}{what} {mean:.3} < {least}"));
            }
        }
    }
    below
}
