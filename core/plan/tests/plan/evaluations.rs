//! What evaluations stand for: subsets, variants, references, and sources that are generated.

use anyflow_plan::model_paths;
use anyflow_plan::plan::{EvalPlan, Generated, Job, StreamRole};
use indexmap::IndexMap;
use serde_json::Map;

use crate::bench::Case;

const TASKS: &str = "tasks:\n  joint:";
const SUBSETS: &str = "subsets: true\ntasks:\n  joint:";

fn plan(case: &Case) -> EvalPlan {
    match case.compile().map_err(|errors| errors.render(&[&case.main], false)) {
        Ok((Job::Eval(plan), _)) => plan,
        other => panic!("no evaluation: {other:?}"),
    }
}

#[test]
fn subsets_are_all_ways_from_some_streams_to_the_others() {
    let plan = plan(&Case::of("eval.yaml").edit(TASKS, SUBSETS));
    let written = 17;
    let names: Vec<&str> = plan.tasks.keys().map(String::as_str).collect();
    // Of four streams there are 14 proper subsets; `joint` is written.
    assert_eq!(names[written..].len(), 14);
    assert_eq!(names[0], "joint");
    assert_eq!(plan.tasks["joint"].options.min_coherence, Some(0.85));
    assert_eq!(
        names[written..][..5],
        [
            "image-to-audio+text+label",
            "audio-to-image+text+label",
            "text-to-image+audio+label",
            "label-to-image+audio+text",
            "image+audio-to-text+label",
        ]
    );
    let streams = &plan.tasks["image+label-to-audio+text"].streams;
    assert_eq!(streams.outputs().collect::<Vec<_>>(), ["audio", "text"]);
    assert_eq!(streams.names(StreamRole::is_condition).collect::<Vec<_>>(), ["image", "label"]);
}

#[test]
fn subsets_alone_are_enough_and_leave_streams_without_judge_out() {
    let case = Case::of("eval.yaml");
    let (head, _) = case.main.text.split_once("tasks:").unwrap();
    let text = head.replace("  label: {score: label/one-hot}\n", "") + "subsets: true\n";
    let case = Case { main: anyflow_plan::Source::new("mld/eval.yaml", text), ..Case::of("eval.yaml") };
    let plan = plan(&case);
    assert_eq!(plan.tasks.len(), 7);
    assert!(plan.tasks.values().all(|task| task.streams.0["label"] == StreamRole::Marginalize));
}

#[test]
fn subsets_that_cannot_be() {
    Case::of("eval.yaml")
        .edit(TASKS, SUBSETS)
        .edit("  image-audio-to-label:", "  image+audio-to-text+label:")
        .check("error-subset-name");
    let case = Case::of("eval.yaml");
    let (head, _) = case.main.text.split_once("tasks:").unwrap();
    let main = anyflow_plan::Source::new("mld/eval.yaml", head);
    Case { main, ..Case::of("eval.yaml") }.check("error-no-tasks");
    Case::of("eval.yaml").edit(TASKS, SUBSETS).edit(", label: speech.label}", "}").check("error-subset-column");
    let unjudged: String =
        head.lines().filter(|line| !line.contains("{score:")).map(|line| line.to_owned() + "\n").collect();
    let main = anyflow_plan::Source::new("mld/eval.yaml", unjudged + "subsets: true\n");
    Case { main, ..Case::of("eval.yaml") }.check("error-subset-judges");
}

#[test]
fn without_variants_the_model_is_the_only_one() {
    let plan = plan(&Case::of("eval.yaml"));
    let (name, variant) = plan.variants.first().unwrap();
    assert_eq!((name.as_str(), variant.denoiser.as_str(), plan.variants.len()), ("digits-mld", "joint", 1));
    assert_eq!(variant.sampler.sampler.name(), "ddim");
}

#[test]
fn variants_change_models_and_samplers() {
    let variants = "variants: {own: {}, small: {model: small.yaml}, fast: {sampler: {kind: heun, steps: 5}}}\ntasks:";
    let case = Case::of("eval.yaml").edit("tasks:", variants).other("small.yaml", "width: 256", "width: 32");
    assert_eq!(model_paths(&case.main).unwrap(), ["mld/model.yaml", "mld/small.yaml"]);
    let case = case.set("variants.fast.sampler.steps=6");
    let plan = plan(&case);
    assert_eq!(plan.variants.keys().collect::<Vec<_>>(), ["own", "small", "fast"]);
    assert_eq!(plan.variants["fast"].sampler.steps, 6);
    assert_eq!(plan.variants["small"].sampler, plan.variants["own"].sampler);
    let small = plan.variants["small"].model.as_ref().unwrap();
    assert_eq!(small.denoisers["joint"].network.object()["width"], 32);
    assert!(plan.variants["own"].model.is_none());
}

#[test]
fn variants_that_cannot_be_compared() {
    let small = "variants: {small: {model: small.yaml}}\ntasks:";
    let case = || Case::of("eval.yaml").edit("tasks:", small);
    case().other("small.yaml", "bands: 40", "bands: 32").check("error-variant-codec");
    assert_eq!(case().other("small.yaml", "  joint:\n", "  other:\n").said(), "fine\n");
    case().other("small.yaml", "over: [image, audio, text, label]", "over: [image, audio]").check("error-variant-over");
    Case::of("eval.yaml")
        .edit("tasks:", "variants: {small: {denoiser: jiont}}\ntasks:")
        .check("error-variant-denoiser");
}

/// One task, whose judge is used. `reference`, the other judges and the guidance of the variant are not.
#[test]
fn what_no_task_measures() {
    let case = Case::of("eval.yaml")
        .edit("  text: {score: text/classifier, weights: weights/judges.safetensors}\n", "")
        .edit("judges:", "reference: {text: speech.text}\nvariants: {guided: {guidance: {kind: joint}}}\njudges:");
    let (head, _) = case.main.text.split_once("tasks:").unwrap();
    let task = "tasks:\n  image-to-audio: {observe: [image], generate: [audio], absent: [text, label]}\n";
    let main = anyflow_plan::Source::new("mld/eval.yaml", format!("{head}{task}"));
    Case { main, ..case }.check("warning-unmeasured");
}

#[test]
fn references_and_generated_sources() {
    let case = Case::of("eval.yaml")
        .edit("sources: {", "sources: {seen: {generate: glyphs, rows: 500, seed: 3}, ")
        .edit("judges:", "reference: {image: seen.image}\njudges:")
        .set("seen.rows=20");
    let plan = plan(&case);
    assert_eq!(
        plan.generated["seen"],
        Generated { generate: "glyphs".into(), rows: 20, seed: 3, parameters: Map::new(), sources: IndexMap::new() }
    );
    assert_eq!(plan.sources["seen"], ["data/seen.parquet"]);
    assert_eq!((plan.reference["image"].source.as_str(), plan.reference["image"].column.as_str()), ("seen", "image"));
    case.edit("generate: glyphs", "generate: glyph").check("error-generator");
    Case::of("eval.yaml")
        .edit("judges:", "reference: {image: digit.image, txet: speech.text}\njudges:")
        .check("error-reference");
}
