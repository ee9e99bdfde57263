//! An evaluation in lines.

use crate::explain::words::{component, how, kind, list, model, section, source, table, told};
use crate::plan::{EvalPlan, Task};

/// The whole plan.
pub(crate) fn lines(plan: &EvalPlan) -> String {
    let mut out = format!("eval {} ({})\n", plan.name, plan.source);
    out.push_str(&model(&plan.model));
    let judges = plan.judges.iter().map(|(stream, judge)| {
        let module = judge.module.as_ref().map_or("its codec".into(), component);
        let weights = judge.checkpoint.as_ref().map_or(String::new(), |path| format!("weights {path}"));
        vec![stream.clone(), format!("{} classes", judge.classes), module, weights]
    });
    let sources = plan.sources.iter().map(|(name, paths)| vec![name.clone(), source(name, paths, &plan.generated)]);
    out.push_str(&format!("\n{}", section("judges", judges.collect())));
    out.push_str(&format!("\n{}", section("sources", sources.collect())));
    out.push_str(&format!("\ndata\n  {}\n", table(&plan.data)));
    let reference = plan.reference.iter().map(|(stream, from)| format!("{stream} = {}.{}", from.source, from.column));
    if !plan.reference.is_empty() {
        out.push_str(&format!("\nreference\n  {}\n", list(reference)));
    }
    let variants = plan.variants.iter().map(|(name, variant)| {
        let other = variant.model.as_ref().map_or(String::new(), |model| format!("model {}", model.source));
        let given = how(variant.given.unwrap_or_default(), None).join(", ");
        let weights = variant.weights.iter().map(|path| format!("weights {path}"));
        let codecs = variant.codecs.iter().map(|(stream, codec)| format!("{stream} by {}", component(codec)));
        let changed: Vec<String> = weights.chain(codecs).collect();
        let denoiser = format!("denoiser {}", variant.denoiser);
        vec![name.clone(), kind(&variant.sampler), denoiser, given, other, changed.join(", ")]
    });
    out.push_str(&format!("\n{}", section("variants", variants.collect())));
    out.push_str(&format!("\n{} rows a task, seeds {}\n", plan.rows, list(&plan.seeds)));
    if !plan.similarity.is_empty() {
        let pairs = plan.similarity.iter().map(|(stream, prompt)| format!("{stream} by {prompt}"));
        out.push_str(&format!("similarity of {}\n", list(pairs)));
    }
    if plan.independent {
        out.push_str("several streams also each by itself\n");
    }
    let tasks = plan.tasks.iter().map(|(name, asked)| task(name, asked));
    out.push_str(&format!("\n{}", section("tasks", tasks.collect())));
    if !plan.conflicts.is_empty() {
        let conflicts = plan.conflicts.iter().map(|(name, asked)| task(name, asked));
        out.push_str(&format!("\n{}", section("conflicts", conflicts.collect())));
    }
    out
}

fn task(name: &str, task: &Task) -> Vec<String> {
    let at_least = task.at_least.map_or(String::new(), |least| format!("at least {least}"));
    let prompts = task.condition.iter().map(|(prompt, weight)| format!("prompt {prompt} x {weight}"));
    let given: Vec<String> = task.observe.iter().cloned().chain(prompts).collect();
    let given = if given.is_empty() { "nothing".into() } else { list(given) };
    let mut rest = vec![at_least];
    rest.extend(task.nearest_at_least.map(|least| format!("nearest at least {least}")));
    for (word, names) in [("along", &task.along), ("absent", &task.absent)] {
        if !names.is_empty() {
            rest.push(format!("{word} {}", list(names)));
        }
    }
    let starts: Vec<String> = task.start.iter().map(|(stream, from)| format!("{stream} from {from}")).collect();
    if !starts.is_empty() {
        rest.push(format!("begins {}", list(starts)));
    }
    rest.extend(how(task.given, task.guidance.as_ref()));
    rest.retain(|part| !part.is_empty());
    let what = task.score.as_ref().map_or_else(|| list(&task.generate), told);
    vec![name.to_string(), format!("{given} -> {what}"), rest.join("; ")]
}
