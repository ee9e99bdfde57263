//! A run in lines.

use crate::component::word;
use crate::descriptor::Role;
use crate::explain::words::{bytes, how, kind, list, model, section, told};
use crate::plan::{Op, RunPlan, Value};

/// The whole plan.
pub(crate) fn lines(plan: &RunPlan) -> String {
    let mut out = format!("run {} ({})\n", plan.name, plan.source);
    out.push_str(&model(&plan.model));
    let inputs = plan
        .inputs
        .iter()
        .map(|(name, input)| vec![name.clone(), format!("column `{}`", input.column), input.kind.to_string()]);
    let steps = plan.steps.iter().enumerate().map(|(index, step)| {
        let (op, what) = operation(&step.op);
        vec![index.to_string(), step.node.clone(), op.to_string(), what]
    });
    let values =
        plan.values.iter().map(|(id, value)| vec![id.clone(), lifetime(id, value, plan), value.kind.to_string()]);
    let outputs = plan.outputs.iter().map(|(column, value)| vec![format!("column `{column}`"), value.clone()]);
    for part in [
        section("inputs", inputs.collect()),
        section("steps", steps.collect()),
        section("values", values.collect()),
        section("outputs", outputs.collect()),
    ] {
        if !part.is_empty() {
            out.push('\n');
            out.push_str(&part);
        }
    }
    out + &format!("\npeak {} a row\n", bytes(plan.bytes_per_row))
}

/// The word for an operation, and its operands.
fn operation(op: &Op) -> (&'static str, String) {
    match op {
        Op::ReadCells { stream, from, to } => ("read", format!("{from} -> {to} (stream {stream})")),
        Op::WriteCells { stream, from, to } => ("write", format!("{from} -> {to} (stream {stream})")),
        Op::Module { stream, role: Role::Embed, from, to } => ("embed", format!("{from} -> {to} (prompt {stream})")),
        Op::Module { stream, role, from, to } => (word(*role), format!("{from} -> {to} (stream {stream})")),
        Op::Diffuse {
            denoiser,
            generate,
            along,
            observe,
            masks,
            given: seen,
            condition,
            guidance,
            absent,
            sampler,
            seed,
        } => {
            let given = observe.iter().map(|(stream, value)| match masks.get(stream) {
                Some(mask) => format!("{stream} = {value} where {mask}"),
                None => format!("{stream} = {value}"),
            });
            let mut parts = vec![format!("denoiser {denoiser}"), format!("generates {}", list(generate.keys()))];
            let conditions = condition.iter().map(|condition| format!("{} x {}", condition.from, condition.weight));
            let lists = [
                ("observes", list(given)),
                ("conditioned on", list(conditions)),
                ("along", list(along)),
                ("absent", list(absent)),
            ];
            parts.extend(
                lists.into_iter().filter(|(_, names)| !names.is_empty()).map(|(word, names)| format!("{word} {names}")),
            );
            parts.extend(how(*seen, guidance.as_ref()));
            parts.push(kind(sampler));
            parts.push(format!("seed {seed}"));
            ("diffuse", parts.join("; "))
        }
        Op::Score { denoiser, scoring, observe, absent, sampler, seed, .. } => {
            let given = observe.iter().map(|(stream, value)| format!("{stream} = {value}"));
            let mut parts = vec![format!("denoiser {denoiser}"), told(scoring), format!("observes {}", list(given))];
            parts.extend((!absent.is_empty()).then(|| format!("absent {}", list(absent))));
            parts.push(kind(sampler));
            parts.push(format!("seed {seed}"));
            ("score", parts.join("; "))
        }
    }
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
