//! An evaluation as text.

use indexmap::IndexMap;

use crate::explain::model;
use crate::explain::options::Options;
use crate::explain::words::{ABSENT, MARGINALIZES, STARTS, classification, given, list, roles, section, source, table};
use crate::plan::{EvalPlan, ScorerConfig, StreamRole, Task, TaskPlane, Variant};

/// The whole plan.
pub(crate) fn lines(plan: &EvalPlan, options: Options) -> String {
    let sources = plan.sources.iter().map(|(name, paths)| vec![name.clone(), source(name, paths, &plan.generated)]);
    let reference = plan.reference.iter().map(|(stream, from)| format!("{stream} = {}.{}", from.source, from.column));
    let variants = plan.variants.iter().map(|(name, it)| variant(name, it, options));
    let parts = [
        model::lines(&plan.model, options),
        section("judges", plan.judges.iter().map(|(stream, it)| judge(stream, it, options)).collect()),
        section("sources", sources.collect()),
        format!("data\n  {}\n", table(&plan.data)),
        section("reference", if plan.reference.is_empty() { Vec::new() } else { vec![vec![list(reference)]] }),
        section("variants", variants.collect()),
        section("options", options.rows(&plan.options).into_iter().map(Vec::from).collect()),
        section("tasks", tasks(&plan.tasks, options)),
        section("conflicts", tasks(&plan.conflicts, options)),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("eval {} ({})\n{}", plan.name, plan.source, parts.join("\n"))
}

/// A judge by the name of its stream or node.
pub(crate) fn judge(name: &str, judge: &ScorerConfig, options: Options) -> Vec<String> {
    let module = judge.module.as_ref().map_or("its codec".into(), |module| options.component(module));
    let weights = judge.checkpoint.as_ref().map_or(String::new(), |path| format!("weights {path}"));
    vec![name.to_string(), format!("{} classes", judge.classes), module, weights]
}

fn variant(name: &str, variant: &Variant, options: Options) -> Vec<String> {
    let other = variant.model.as_ref().map_or(String::new(), |model| format!("model {}", model.source));
    // All tasks that have the variant's guidance have the same.
    let guidance = variant.guidance.values().next();
    let given = options.conditioning(variant.given.unwrap_or_default(), guidance).join(", ");
    let weights = variant.weights.iter().map(|path| format!("weights {path}"));
    let codecs = variant.codecs.iter().map(|(stream, codec)| format!("{stream} by {}", options.component(codec)));
    let changed = list(weights.chain(codecs));
    let sampler = options.kind(&variant.sampler);
    vec![name.to_string(), sampler, format!("denoiser {}", variant.denoiser), given, other, changed]
}

fn tasks(tasks: &IndexMap<String, Task>, options: Options) -> Vec<Vec<String>> {
    tasks.iter().map(|(name, it)| task(name, it, options)).collect()
}

fn task(name: &str, task: &Task, options: Options) -> Vec<String> {
    let roles_of = task.streams.0.iter().flat_map(|(stream, role)| observed(stream, role));
    let observed: Vec<String> = roles_of.chain(task.planes.iter().map(|(stream, it)| plane(stream, it))).collect();
    let observed = if observed.is_empty() { "nothing".into() } else { list(observed) };
    let mut rest = Vec::new();
    rest.extend(options.rows(&task.options).iter().map(|named| named.join(" ")));
    rest.extend(roles(&task.streams, &[STARTS, MARGINALIZES, ABSENT]));
    rest.extend(options.conditioning(given(&task.streams), task.guidance.as_ref()));
    let what = task.score.as_ref().map_or_else(|| list(task.streams.outputs()), classification);
    vec![name.to_string(), format!("{observed} -> {what}"), rest.join("; ")]
}

/// A plane of a task.
fn plane(stream: &str, plane: &TaskPlane) -> String {
    let from = if plane.from == stream { String::new() } else { format!(" = {}", plane.from) };
    let hidden = plane.hide.as_ref().map_or(String::new(), |hide| format!(" (hidden by {})", hide.mask));
    format!("plane {stream}{from}{hidden}")
}

/// What a task observes of a stream or prompt.
fn observed(stream: &str, role: &StreamRole) -> Vec<String> {
    match role {
        StreamRole::Observe { from, .. } if from == stream => vec![stream.to_string()],
        StreamRole::Observe { from, .. } => vec![format!("{stream} = {from}")],
        StreamRole::Inpaint { mask, .. } => vec![format!("{stream} (mask {mask})")],
        StreamRole::Condition { from, .. } => {
            from.values().map(|weight| format!("prompt {stream} x {weight}")).collect()
        }
        _ => Vec::new(),
    }
}
