//! Guidance, noised streams, masks and resampling of a diffusion.

use anyflow_config::Given;
use anyflow_plan::plan::{Diffusion, Job, StreamRole};
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
fn diffusion(case: &Case) -> Diffusion {
    let Ok((Job::Run(plan), warnings)) = case.compile() else { panic!("{}", case.said()) };
    assert_eq!(warnings, []);
    plan.steps.iter().find_map(|step| step.op.diffusion()).unwrap().clone()
}

#[test]
fn guidance_is_in_the_plan_with_its_defaults() {
    let of = |case: Case| serde_json::to_value(diffusion(&case).guidance.unwrap()).unwrap();
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
    for (word, given) in [("noised", Given::Noised), ("clean", Given::Clean)] {
        let found = diffusion(&label(&format!("given: {word}")));
        assert_eq!(found.streams.0["image"], StreamRole::Observe { from: "seen".into(), given });
    }
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
    let role = StreamRole::Inpaint { from: "meant".into(), mask: "place".into(), discarded: false };
    assert_eq!(diffusion(&masked()).streams.0["label"], role);
    let (job, _) = masked().compile().unwrap();
    snapshot("plan-masked", &text(&job));
}

#[test]
fn initial_values_are_checked() {
    let mask = "observe: {label: {from: meant, mask: place}}";
    masked().edit(mask, &format!("start: {{label: meant}}, {mask}")).check("error-start-mask");
    masked().edit(mask, "start: {image: meant}").check("error-start-latent");
    masked().edit(mask, "start: {label: meant}").check("warning-start");
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
    let resample_of = diffusion(&resample("{}")).sampler.resample;
    assert_eq!(serde_json::to_value(resample_of).unwrap(), json!({"jump": 10, "times": 10}));
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
    let guidance = |name: &str| plan.tasks[name].guidance.as_ref().map(|guidance| guidance.name());
    let given = |name: &str| match plan.tasks[name].streams.0.values().find(|role| role.is_condition()) {
        Some(StreamRole::Observe { given, .. }) => *given,
        other => panic!("{other:?}"),
    };
    assert_eq!(guidance("joint"), None);
    assert_eq!((guidance("image-to-text"), given("image-to-text")), (Some("cfg"), Given::Noised));
    assert_eq!((guidance("audio-to-text"), given("audio-to-text")), (None, Given::Noised));
    assert_eq!((guidance("image-to-audio"), given("image-to-audio")), (Some("joint"), Given::Clean));
    Case::of("eval.yaml")
        .edit("rows: 1000", "guidance: {kind: cfg, scale: {imgae: 2.0}}\nrows: 1000")
        .check("error-guidance-of-tasks");
    Case::of("eval.yaml")
        .edit("joint: {generate", "joint: {guidance: {kind: cfg}, generate")
        .check("error-guidance-task");
}

/// The pipeline with all streams generated, with a spacing, on a model with this schedule.
fn spaced(schedule: &str, sampler: &str) -> Case {
    Case::of("joint.yaml").edit("{kind: ddim, steps: 50}", sampler).edit_model("{kind: vp-linear}", schedule)
}

#[test]
fn spacings_need_the_points_of_the_schedule() {
    let published = "{kind: ddim, steps: 50, spacing: {law: leading, offset: 1, last: first, stride: floor}}";
    let sampler = diffusion(&spaced("{kind: discrete}", published)).sampler;
    assert_eq!(sampler.spacing.unwrap().offset, 1);
    let of = |spacing: &str| format!("{{kind: dpmpp-2m, steps: 20, spacing: {{{spacing}}}}}");
    spaced("{kind: cosine}", &of("law: karras")).check("error-spacing-without-steps");
    spaced("{kind: discrete}", "{kind: ddim, steps: 1001, spacing: {law: trailing}}").check("error-spacing-steps");
    spaced("{kind: discrete}", &of("law: leading, offset: 60")).check("error-spacing-beyond");
    spaced("{kind: discrete}", &of("law: leading, stride: floor")).check("error-spacing-stride");
    spaced("{kind: discrete}", "{kind: heun, spacing: {law: linspace, last: first}}").check("error-spacing-end");
    spaced("{kind: discrete}", &of("offset: 1, stride: floor")).check("warning-spacing");
}

#[test]
fn noise_says_nothing_about_pure_noise() {
    let case = spaced("{kind: discrete, zero_snr: true}", "{kind: ddim, steps: 50}");
    case.edit_model("predict: x0", "predict: eps").check("error-no-signal-at-start");
}
