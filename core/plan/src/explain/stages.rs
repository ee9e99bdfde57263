//! A training as text.

use crate::explain::model;
use crate::explain::options::Options;
use crate::explain::words::{list, section, source, table};
use crate::plan::{Stage, TrainPlan, Trained};

/// The whole plan.
pub(crate) fn lines(plan: &TrainPlan, options: Options) -> String {
    let mut out = format!("train {} ({}), seed {}\n", plan.name, plan.source, plan.seed);
    if let Some(start) = &plan.start {
        let except = if plan.fresh.is_empty() { String::new() } else { format!(" except {}", plan.fresh.join(", ")) };
        out.push_str(&format!("start from {start}{except}\n"));
    }
    for (name, taken) in &plan.take {
        out.push_str(&format!("{name} from {} of {}\n", taken.part, taken.from));
    }
    out.push_str(&model::lines(&plan.model, options));
    let scorers = plan.scorers.iter().map(|(name, scorer)| {
        let module = scorer.module.as_ref().map_or("its codec".into(), |module| options.component(module));
        vec![name.clone(), format!("stream {}", scorer.stream), format!("{} classes", scorer.classes), module]
    });
    let sources = plan.sources.iter().map(|(name, paths)| vec![name.clone(), source(name, paths, &plan.generated)]);
    let data = plan.data.iter().map(|(name, rows)| vec![name.clone(), table(rows)]);
    for part in [
        section("scorers", scorers.collect()),
        section("sources", sources.collect()),
        section("data", data.collect()),
        section("stages", plan.stages.iter().flat_map(|it| stage(it, options)).collect()),
    ] {
        if !part.is_empty() {
            out.push('\n');
            out.push_str(&part);
        }
    }
    out
}

fn stage(stage: &Stage, options: Options) -> Vec<Vec<String>> {
    let row = |word: &str, what: String| vec![String::new(), word.to_string(), what];
    let mut rows = vec![
        vec![stage.name.clone(), "trains".into(), trained(&stage.train)],
        row("reads", stage.data.clone()),
        row("objective", options.kind(&stage.train.objective())),
    ];
    if !stage.train.is_nothing() {
        rows.extend(options.rows(&stage.options).into_iter().map(|[name, value]| row(&name, value)));
    }
    rows
}

/// The trained part of a stage, in words.
pub(crate) fn trained(trained: &Trained) -> String {
    match trained {
        Trained::Stream { name, .. } => format!("stream {name}"),
        Trained::Denoiser { name, .. } => format!("denoiser {name}"),
        Trained::Scorer { name, .. } => format!("scorer {name}"),
        Trained::Modules { names, .. } => format!("modules {}", list(names)),
        Trained::Nothing { .. } => "nothing".into(),
    }
}
