//! Guidance, noised streams, masks and resampling of a diffusion.

use anyflow_plan::plan::{Given, Job, Op};
use serde_json::json;

use crate::bench::{Case, snapshot, text};

const SAMPLER: &str = "sampler: {kind: ddim, steps: 50}";

/// The pipeline from two streams to a third, with more keys at its diffusion.
fn label(more: &str) -> Case {
    Case::of("image-audio-to-label.yaml").edit(SAMPLER, &format!("{SAMPLER}, {more}"))
}

fn joint(more: &str) -> Case {
    Case::of("joint.yaml").edit(SAMPLER, &format!("{SAMPLER}, {more}"))
}

fn resample(resample: &str) -> Case {
    Case::of("joint.yaml").edit("steps: 50}", &format!("steps: 50, resample: {resample}}}"))
}

/// The only diffusion of a pipeline.
fn diffusion(case: &Case) -> Op {
    let Ok((Job::Run(plan), warnings)) = case.compile() else { panic!("{}", case.said()) };
    assert_eq!(warnings, []);
    plan.steps.into_iter().map(|step| step.op).find(|op| matches!(op, Op::Diffuse { .. })).unwrap()
}

#[test]
fn guidance_is_in_the_plan_with_its_defaults() {
    let of = |case: Case| match diffusion(&case) {
        Op::Diffuse { guidance, .. } => serde_json::to_value(guidance.unwrap()).unwrap(),
        other => panic!("{other:?}"),
    };
    let all = of(label("guidance: {kind: cfg}"));
    assert_eq!(all, json!({"kind": "cfg", "scale": 3.0}));
    let each = of(label("guidance: {kind: cfg, scale: {image: 2, audio: 1.5}}"));
    assert_eq!(each, json!({"kind": "cfg", "scale": {"image": 2.0, "audio": 1.5}}));
    let both = of(joint("guidance: {kind: joint, scale: 2.5}").set("joint.guidance.scale=4"));
    assert_eq!(both, json!({"kind": "joint", "scale": 4.0}));
}

#[test]
fn options_that_are_not_defaults_are_printed() {
    let more = "given: noised, guidance: {kind: cfg, scale: {image: 2.0, audio: 1.5}}";
    let case = label(more).edit("steps: 50}", "steps: 50, resample: {times: 5}}");
    let (job, _) = case.compile().unwrap();
    snapshot("plan-steering", &text(&job));
}

#[test]
fn guidance_towards_nothing_is_refused() {
    joint("guidance: {kind: cfg, scale: 2.0}").check("error-guidance-nothing-observed");
    Case::of("image-to-audio.yaml")
        .edit(SAMPLER, &format!("absent: [text, label], guidance: {{kind: joint}}, {SAMPLER}"))
        .check("error-guidance-nothing-joint");
}

#[test]
fn names_in_guidance_are_checked() {
    label("guidance: {kind: cfg, scale: {imgae: 2.0}}").check("error-guidance-condition");
    label("guidance: {kind: cgf}").check("error-guidance-kind");
    label("guidance: {scale: 2.0}").check("error-guidance-without-kind");
    label("guidance: {kind: cfg, scale: -1}").check("error-guidance-scale");
    label("guidance: {kind: cfg, scale: much}").check("error-guidance-scale-form");
    label("guidance: {kind: joint, scale: {image: 2.0}}").check("error-guidance-joint-scale");
}

#[test]
fn given_sets_the_noise_level_of_observed_streams() {
    assert!(matches!(diffusion(&label("given: noised")), Op::Diffuse { given: Given::Noised, .. }));
    assert!(matches!(diffusion(&label("given: clean")), Op::Diffuse { given: Given::Clean, .. }));
    label("given: noisy").check("error-given");
    joint("given: noised").check("warning-given");
}

/// The stream without a module, with a mask from another column.
fn masked() -> Case {
    let more = "observe: {label: {from: meant, mask: place}}";
    joint(more)
        .edit(
            "nodes:",
            "inputs:\n  digit: {modality: label, column: label}\n  hole: {modality: label, column: hole}\nnodes:",
        )
        .edit(
            "nodes:",
            "nodes:\n  meant: {encode: label/one-hot, from: digit}\n  place: {encode: label/one-hot, from: hole}",
        )
        .edit("digit: {decode", "read: {decode")
        .edit("label: digit}", "label: read}")
}

#[test]
fn a_masked_stream_is_observed_in_part() {
    let Op::Diffuse { generate, observe, masks, .. } = diffusion(&masked()) else { panic!("no diffusion") };
    assert_eq!((observe["label"].as_str(), masks["label"].as_str()), ("meant", "place"));
    assert!(generate.contains_key("label"));
    let (job, _) = masked().compile().unwrap();
    snapshot("plan-masked", &text(&job));
}

#[test]
fn masks_are_checked() {
    masked().edit("mask: place", "mask: plaec").check("error-mask-node");
    masked().edit("{from: meant, mask: place}", "{from: meant, msak: place}").check("error-mask-key");
    masked().edit("mask: place", "mask: hole").check("error-mask-cells");
    masked()
        .edit("diffuse: [image, audio, text, label]", "diffuse: [image, audio, text], absent: [label]")
        .edit(", label: read}", "}")
        .edit("  read: {decode: label/one-hot, from: joint.label}\n", "")
        .check("error-mask-absent");
}

#[test]
fn resampling_is_an_option_of_every_sampler() {
    let Op::Diffuse { sampler, .. } = diffusion(&resample("{}")) else { panic!("no diffusion") };
    assert_eq!(serde_json::to_value(sampler.resample).unwrap(), json!({"jump": 10, "times": 10}));
    resample("{jump: 51}").check("error-resample-jump");
    resample("{jmup: 5}").check("error-resample-key");
    resample("often").check("error-resample-form");
}

#[test]
fn evaluations_set_it_for_all_tasks_or_for_one() {
    let case = Case::of("eval.yaml")
        .edit("rows: 1000", "guidance: {kind: cfg, scale: {image: 2.0}}\ngiven: noised\nrows: 1000")
        .edit("[image], generate: [audio]", "[image], generate: [audio], given: clean, guidance: {kind: joint}");
    let (Job::Eval(plan), warnings) = case.compile().unwrap() else { panic!("no evaluation") };
    assert_eq!(warnings, []);
    let task =
        |name: &str| (plan.tasks[name].guidance.as_ref().map(|guidance| guidance.name()), plan.tasks[name].given);
    assert_eq!(task("joint"), (None, Given::Noised));
    assert_eq!(task("image-to-text"), (Some("cfg"), Given::Noised));
    assert_eq!(task("audio-to-text"), (None, Given::Noised));
    assert_eq!(task("image-to-audio"), (Some("joint"), Given::Clean));
    Case::of("eval.yaml")
        .edit("rows: 1000", "guidance: {kind: cfg, scale: {imgae: 2.0}}\nrows: 1000")
        .check("error-guidance-of-tasks");
    Case::of("eval.yaml")
        .edit("joint: {generate", "joint: {guidance: {kind: cfg}, generate")
        .check("error-guidance-task");
}
