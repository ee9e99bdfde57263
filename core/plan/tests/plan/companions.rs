//! Auxiliary streams: added into other streams, or predicted from features, and never diffused.

use anyflow_plan::descriptor::Role;
use anyflow_plan::plan::{Job, Op, Step, StreamRole};
use anyflow_plan::{Format, explain};

use crate::bench::{Case, catalog, file, snapshot, text};

fn companions(name: &str) -> Case {
    let main = file(&format!("companions/{name}.yaml"));
    let model = file("companions/model.yaml");
    Case { main, model, others: Vec::new(), catalog: catalog(), overrides: Vec::new() }
}

#[test]
fn every_file_compiles() {
    for name in ["joint", "train", "eval"] {
        let (job, warnings) =
            companions(name).compile().unwrap_or_else(|errors| panic!("{}", errors.render(&[], false)));
        assert_eq!(warnings, [], "{name}");
        snapshot(&format!("plan-companions-{name}"), &text(&job));
        assert_eq!(serde_json::from_str::<Job>(&explain(&job, Format::Json)).unwrap(), job, "{name}");
    }
}

#[test]
fn keys_get_their_defaults_and_a_companion_its_place() {
    let Ok((Job::Train(plan), _)) = companions("train").compile() else { panic!("no plan") };
    let denoiser = &plan.model.denoisers["digits"];
    assert_eq!(denoiser.over, ["image"]);
    assert_eq!(denoiser.companions.keys().collect::<Vec<_>>(), ["label", "sketch"]);
    let found = serde_json::to_value(&denoiser.companions["label"]).unwrap();
    let wanted = serde_json::json!({
        "aggregate": {"into": "image", "weight": 0.3, "law": "start", "dropout": 0.3},
        "head": {
            "reads": "middle", "network": {"kind": "mlp", "width": 32}, "loss": "cross-entropy", "weight": 0.1, "embedding_weight": 1.0
        },
    });
    assert_eq!(found, wanted);
}

/// What a diffusion leaves out.
fn absent(case: &Case) -> Vec<String> {
    let Ok((Job::Run(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    let diffusions = plan.steps.iter().filter_map(|step| step.op.diffusion());
    diffusions.flat_map(|diffusion| diffusion.streams.names(|role| *role == StreamRole::Absent)).cloned().collect()
}

#[test]
fn a_companion_without_a_head_is_given_or_absent() {
    let unnamed = companions("joint").edit(", observe: {sketch: drawn}", "");
    assert_eq!(absent(&unnamed), ["sketch"]);
    companions("joint")
        .edit("[image, label], observe: {sketch: drawn}", "[image, sketch]")
        .check("error-companion-given");
}

#[test]
fn what_is_never_diffused_cannot_be_given_in_part() {
    companions("joint")
        .edit("observe: {sketch: drawn}", "observe: {label: {from: drawn, mask: drawn}}")
        .check("error-companion-partly");
}

#[test]
fn companions_of_a_model_must_fit() {
    let model = |from: &str, to: &str| companions("joint").edit_model(from, to);
    model("{label: {weight: 0.3}, sketch", "{labels: {weight: 0.3}, sketch").check("error-companion-unknown");
    model("over: [image]", "over: [image, label]").check("error-companion-diffused");
    model("  label: {codec", "  other: {codec: image/gray, module: image/autoencoder, latent: [24], aggregate: {label: {}}}\n  label: {codec")
        .edit_model("over: [image]", "over: [image, other]")
        .check("error-companion-added-twice");
    model("{weight: 0.3}", "{wait: 0.3}").check("error-companion-keys");
    model("reads: digits.middle", "reads: digit.middle").check("error-head-denoiser");
    model("reads: digits.middle", "reads: middle").check("error-head-form");
    model("reads: digits.middle", "reads: digits.block.2").check("error-head-site");
    model("{kind: mlp, width: 32}", "{kind: conv}").check("error-head-conv");
    model("  label: {reads", "  sketches: {reads").check("error-head-unknown");
    model("kind: residual-mlp, width: 64, blocks: 2", "kind: unet-mlp").check("error-head-no-sites");
}

#[test]
fn a_u_has_sites_at_every_level() {
    let unet = "{kind: unet, block_out_channels: [16, 32], attention: [false, true], num_attention_heads: [4], \
                norm_num_groups: 8}";
    let case = |head: &str| {
        companions("joint")
            .edit("encode: image/autoencoder", "encode: image/gray")
            .edit("decode: image/autoencoder", "decode: image/gray")
            .edit_model("    module: image/autoencoder\n    latent: [24]", "    latent: [1, 28, 28]")
            .edit_model("module: {use: image/autoencoder, hidden: 64}, latent: [24]", "latent: [1, 28, 28]")
            .edit_model("{kind: residual-mlp, width: 64, blocks: 2}", unet)
            .edit_model("  label: {reads", &format!("  {head}\n  label: {{reads"))
    };
    let compiles = case("sketch: {reads: digits.last, network: {kind: conv}, loss: mse}");
    assert!(compiles.compile().is_ok(), "{}", compiles.said());
    case("sketch: {reads: digits.up.0, network: {kind: conv}, loss: mse}").check("error-head-level");
    case("sketch: {reads: digits.last, loss: cross-entropy}").check("error-head-class");
}

#[test]
fn a_table_has_the_columns_of_companions() {
    companions("train").edit(", label: pairs.label}", "}").check("error-companion-column");
    companions("train")
        .edit("{kind: denoise, times", "{kind: denoise, streams: [label], times")
        .check("error-companion-streams");
}

#[test]
fn what_begins_late_begins_from_something() {
    companions("joint")
        .edit("observe: {sketch: drawn}}", "observe: {sketch: drawn}, sampler: {kind: ddim, start_at: 0.5}}")
        .check("error-late-pipeline");
    companions("eval").edit("tasks:", "sampler: {kind: ddim, start_at: 0.5}\ntasks:").check("error-late-tasks");
    let begun = |from: &str| {
        companions("eval")
            .edit("  joint: {generate: [image, label]}\n", "")
            .edit("  read: {observe: [image], generate: [label]}\n", "")
            .edit("{observe: [sketch, label], generate: [image]}", from)
            .edit("tasks:", "sampler: {kind: ddim, start_at: 0.5}\ntasks:")
    };
    let (job, _) = begun("{start: {image: sketch}, generate: [image, label]}").compile().unwrap();
    let Job::Eval(plan) = job else { panic!("no evaluation") };
    assert_eq!(plan.tasks["colour"].streams.0["image"], StreamRole::Generate { start: Some("sketch".into()) });
    begun("{start: {image: label}, generate: [image, label]}").check("error-late-shape");
    begun("{start: {image: sketches}, generate: [image, label]}").check("error-late-unknown");
    begun("{start: {sketch: image}, generate: [image, label]}").check("error-late-not-generated");
}

const SKETCH: &str = "module: {use: image/autoencoder, hidden: 64}, latent: [24]";

#[test]
fn a_companion_may_have_no_way_back() {
    let case = |name: &str| companions(name).edit_model(SKETCH, "module: image/classifier, latent: [64]");
    let drawn = ("encode: image/autoencoder, from: drawing, stream: sketch", "encode: image/classifier, from: drawing");
    let compiled = case("joint").edit(drawn.0, drawn.1).edit(", stream: image}", "}").compile();
    let Ok((Job::Run(plan), _)) = compiled else { panic!("no plan") };
    assert_eq!(plan.model.streams["sketch"].by, Role::Features);
    let by_features = |step: &Step| matches!(&step.op, Op::Module { role: Role::Features, .. });
    assert_eq!(plan.steps.iter().filter(|step| by_features(step)).count(), 1);
    let back = "picture: {decode: image/classifier, from: drawn}";
    case("joint")
        .edit(drawn.0, drawn.1)
        .edit("picture: {decode: image/autoencoder, from: made.image, stream: image}", back)
        .check("error-no-way-back");
    case("eval")
        .edit_model("heads:\n", "heads:\n  sketch: {reads: digits.last, loss: mse}\n")
        .edit("judges: {", "judges: {sketch: {score: image/classifier, weights: judges.safetensors}, ")
        .edit("generate: [image, label]", "generate: [image, label, sketch]")
        .check("error-judged-without-way-back");
}

#[test]
fn parts_are_taken_from_other_files() {
    let take = "seed: 4\ntake:\n  streams.image: {from: a.safetensors}\n  \
                streams.sketch.module: {from: ../b.safetensors, part: prompts.picture}\nstages:";
    let Ok((Job::Train(plan), _)) = companions("train").edit("stages:", take).compile() else { panic!("no plan") };
    let image = &plan.take["streams.image"];
    let sketch = &plan.take["streams.sketch.module"];
    assert!(image.from.ends_with("/a.safetensors") && sketch.from.ends_with("b.safetensors"), "{image:?} {sketch:?}");
    assert_eq!((image.part.as_str(), sketch.part.as_str()), ("streams.image", "prompts.picture"));
    companions("train")
        .edit("stages:", "take: {streams.sketches: {from: a.safetensors}, image: {part: streams.image}}\nstages:")
        .check("error-take");
}

#[test]
fn variants_have_weights_and_codecs_of_their_own() {
    let variants = "variants:\n  more: {weights: [a.safetensors, b.safetensors], \
                    codecs: {sketch: {use: image/gray, height: 28}}}\ntasks:";
    let Ok((Job::Eval(plan), _)) = companions("eval").edit("tasks:", variants).compile() else { panic!("no plan") };
    let more = &plan.variants["more"];
    assert_eq!(more.weights.len(), 2);
    assert_eq!(more.codecs["sketch"], plan.model.streams["sketch"].codec);
    for (codecs, name) in [
        ("{image: image/gray}", "error-variant-judged"),
        ("{sketches: image/gray}", "error-variant-unknown"),
        ("{sketch: image/rgb}", "error-variant-array"),
    ] {
        companions("eval").edit("tasks:", &format!("variants: {{more: {{codecs: {codecs}}}}}\ntasks:")).check(name);
    }
}

#[test]
fn a_task_may_require_rows_to_be_nearest_to_their_own() {
    let case = companions("eval").edit("generate: [image]}", "generate: [image], min_top1: 0.5}");
    let Ok((Job::Eval(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    assert_eq!((plan.tasks["colour"].options.min_top1, plan.tasks["colour"].options.min_coherence), (Some(0.5), None));
}

#[test]
fn classes_may_be_words() {
    let case = companions("eval").edit("class: pairs.label}", "class: pairs.word, classes: [no, yes]}");
    let Ok((Job::Eval(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    assert_eq!(plan.data.classes, ["no", "yes"]);
    companions("eval")
        .edit("class: pairs.label}", "class: pairs.word, classes: [no, no]}")
        .check("error-classes-twice");
    companions("train").edit("label: pairs.label}}", "label: pairs.label}, classes: [no]}").check("warning-classes");
}
