//! A run as text.

use anyflow_config::Dtype;

use crate::component::word;
use crate::descriptor::Role;
use crate::explain::model;
use crate::explain::options::Options;
use crate::explain::tasks::judge;
use crate::explain::words::{
    ABSENT, CONDITIONS, MARGINALIZES, OBSERVES, STARTS, bytes, classification, described, given, list, roles, section,
};
use crate::plan::{Diffusion, Op, RunPlan, Value};

/// The whole plan.
pub(crate) fn lines(plan: &RunPlan, options: Options) -> String {
    let mut out = format!("run {} ({})\n", plan.name, plan.source);
    out.push_str(&model::lines(&plan.model, options));
    let inputs = plan
        .inputs
        .iter()
        .map(|(name, input)| vec![name.clone(), format!("column `{}`", input.column), input.kind.to_string()]);
    let constants = plan
        .constants
        .iter()
        .map(|(name, constant)| vec![name.clone(), format!("value {}", constant.cell), constant.kind.to_string()]);
    let steps = plan.steps.iter().enumerate().map(|(index, step)| {
        let (op, what) = operation(&step.op, options);
        vec![index.to_string(), step.node.clone(), op.to_string(), what]
    });
    let values =
        plan.values.iter().map(|(id, value)| vec![id.clone(), lifetime(id, value, plan), value.kind.to_string()]);
    let outputs = plan.outputs.iter().map(|(column, value)| vec![format!("column `{column}`"), value.clone()]);
    for part in [
        section("scorers", plan.scorers.iter().map(|(node, it)| judge(node, it, options)).collect()),
        section("inputs", inputs.chain(constants).collect()),
        section("steps", steps.collect()),
        section("values", values.collect()),
        section("outputs", outputs.collect()),
    ] {
        if !part.is_empty() {
            out.push('\n');
            out.push_str(&part);
        }
    }
    out + &format!("\npeak {} per row\n", bytes(plan.bytes_per_row))
}

/// The name of an operation, and its operands.
fn operation(op: &Op, options: Options) -> (&'static str, String) {
    match op {
        Op::ReadCells { stream, from, to } => ("read", format!("{from} -> {to} (stream {stream})")),
        Op::ReadNumbers { from, to, .. } => ("read", format!("{from} -> {to}")),
        Op::WriteCells { stream, from, to } => ("write", format!("{from} -> {to} (stream {stream})")),
        Op::WriteNumbers { from, to, dtype: Dtype::F32 } => ("write", format!("{from} -> {to}")),
        Op::WriteNumbers { from, to, dtype } => ("write", format!("{from} -> {to} ({dtype})")),
        Op::Hide { from, mask, to, .. } => ("hide", format!("{from} -> {to} (by {mask})")),
        Op::Module { stream, role: role @ (Role::Embed | Role::Pool), from, to } => {
            (word(*role), format!("{from} -> {to} (prompt {stream})"))
        }
        Op::Join { from, to } => ("join", format!("{} -> {to}", list(from))),
        Op::Module { stream, role, from, to } => (word(*role), format!("{from} -> {to} (stream {stream})")),
        Op::Judge { from, names, .. } => {
            let named = if names.is_empty() { String::new() } else { format!("classes {}", list(names)) };
            ("judge", joined(vec![from.clone(), named]))
        }
        Op::Compare { scorer, from, against, classes, .. } => {
            let with = against.clone().unwrap_or_else(|| described(classes));
            ("compare", format!("{from} with {with} by {scorer}"))
        }
        Op::Diffuse { diffusion, .. } => {
            let outputs = list(diffusion.streams.outputs());
            ("diffuse", joined(sampled(diffusion, format!("generates {outputs}"), options)))
        }
        Op::Score { diffusion, scoring, .. } => ("score", joined(sampled(diffusion, classification(scoring), options))),
    }
}

/// A diffusion in words; `what` is its purpose.
fn sampled(diffusion: &Diffusion, what: String, options: Options) -> Vec<String> {
    let mut parts = vec![format!("denoiser {}", diffusion.denoiser), what];
    parts.extend(roles(&diffusion.streams, &[OBSERVES, STARTS, CONDITIONS, MARGINALIZES, ABSENT]));
    let planes = diffusion.planes.iter().map(|(stream, from)| format!("{stream} = {from}"));
    let planes = planes.collect::<Vec<_>>().join(", ");
    parts.push(if planes.is_empty() { planes } else { format!("planes {planes}") });
    parts.extend(options.conditioning(given(&diffusion.streams), diffusion.guidance.as_ref()));
    parts.push(options.kind(&diffusion.sampler));
    parts.push(seed_of(diffusion.seed, options));
    parts
}

fn seed_of(seed: u64, options: Options) -> String {
    if seed == 0 && !options.is_all() { String::new() } else { format!("seed {seed}") }
}

fn joined(mut parts: Vec<String>) -> String {
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn lifetime(id: &str, value: &Value, plan: &RunPlan) -> String {
    let made = value.made_by.map_or("input".into(), |step| format!("step {step}"));
    let written = plan.outputs.values().any(|output| output == id);
    match value.last_use {
        _ if written => format!("{made} to the end"),
        Some(last) => format!("{made} to {last}"),
        None => made,
    }
}
