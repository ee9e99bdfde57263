//! Prompts: models, pipelines, trainings and evaluations in which something only conditions.

use anyflow_plan::plan::{Job, StreamRole};
use anyflow_plan::{Format, explain};

use crate::bench::{Case, catalog, file, snapshot, text};

fn prompted(name: &str) -> Case {
    let main = file(&format!("prompted/{name}.yaml"));
    let model = file("prompted/model.yaml");
    Case { main, model, others: Vec::new(), catalog: catalog(), overrides: Vec::new() }
}

const PIPELINE: &str = "words-and-picture-to-image";

#[test]
fn every_file_compiles() {
    for name in [PIPELINE, "train", "eval"] {
        let (job, warnings) = prompted(name).compile().unwrap_or_else(|errors| panic!("{}", errors.render(&[], false)));
        assert_eq!(warnings, [], "{name}");
        snapshot(&format!("plan-prompted-{name}"), &text(&job));
        assert_eq!(serde_json::from_str::<Job>(&explain(&job, Format::Json)).unwrap(), job, "{name}");
    }
}

#[test]
fn one_prompt_may_be_mixed_of_two_nodes() {
    let case = prompted(PIPELINE)
        .edit("{embed: image/prompt, from: image}", "{embed: text/prompt, from: other}")
        .edit("image: {modality: image}", "other: {modality: text}");
    let Ok((Job::Run(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    let diffusion = plan.steps.iter().find_map(|step| step.op.diffusion()).unwrap();
    let from = [("meaning".to_string(), 1.0), ("seen".to_string(), 0.5)].into();
    assert_eq!(diffusion.streams.0["words"], StreamRole::Condition { from, instead: None });
}

#[test]
fn what_conditions_must_be_a_prompt_that_the_denoiser_reads() {
    prompted(PIPELINE)
        .edit("diffuse: [image]", "diffuse: [audio]")
        .edit("decode: image/autoencoder, from: made.image", "decode: audio/autoencoder, from: made.audio")
        .check("error-prompt-not-read");
    prompted(PIPELINE).edit("embed: image/prompt", "encode: image/autoencoder").check("error-prompt-latent");
    prompted(PIPELINE).edit("{meaning: 1.0, seen: 0.5}", "{meanin: 1.0, seen: 0}").check("error-prompt-names");
    prompted(PIPELINE).edit("embed: text/prompt", "embed: audio/prompt").check("error-prompt-component");
}

#[test]
fn guidance_needs_something_that_conditions() {
    prompted(PIPELINE).edit("condition: {meaning: 1.0, seen: 0.5}, ", "").check("error-prompt-no-guidance");
    prompted(PIPELINE).edit("scale: 2.0", "scale: {words: 2.0, picture: 1.5}").check("fine-prompt-scales");
    prompted(PIPELINE).edit("scale: 2.0", "scale: {sound: 2.0}").check("error-prompt-scale");
}

#[test]
fn prompts_of_a_model_must_fit() {
    prompted(PIPELINE)
        .edit_model("module: image/prompt, tokens: [1, 64]", "module: image/prompt, tokens: [1, 32]")
        .check("error-prompt-shapes");
    prompted(PIPELINE)
        .edit_model("tokens: [1, 64]}\n  picture", "tokens: [2, 64]}\n  picture")
        .check("error-prompt-tokens");
    prompted(PIPELINE).edit_model("module: image/prompt", "module: image/autoencoder").check("error-prompt-role");
    prompted(PIPELINE)
        .edit_model("prompts: [words, picture]", "prompts: [words, pictur]")
        .check("error-prompt-denoiser");
    prompted(PIPELINE).edit_model("  picture: {codec", "  image: {codec").check("error-prompt-name");
}

#[test]
fn stages_train_prompts_that_meet() {
    prompted("train").edit("train: picture,", "train: words,").check("error-prompt-alone");
    prompted("train").edit("train: picture,", "train: image,").check("error-prompt-not-trainable");
    prompted("train").edit("with: words, temperature", "with: sounds, temperature").check("error-prompt-partner");
    prompted("train").edit(", words: pairs.text, picture: pairs.image", "").check("error-prompt-columns");
    prompted("train").edit("train: image,", "train: [image, audio],").check("error-train-several");
}

#[test]
fn tasks_condition_on_prompts_of_the_data() {
    prompted("eval").edit("{words: 1.0, picture: 0.5}", "{words: 1.0, pictur: 0.5}").check("error-prompt-task");
    prompted("eval").edit(", picture: pairs.image}", "}").check("error-prompt-task-column");
}

#[test]
fn a_wrong_task_hides_no_error_of_another() {
    let case = prompted("eval")
        .edit("{words: 1.0}}", "{words: 1.0}, guidance: {kind: joint}}")
        .edit("picture: 0.5", "pictur: 0.5");
    assert_eq!(case.compile().unwrap_err().codes(), ["joint-of-one", "unknown-name"]);
}

#[test]
fn streams_are_compared_by_prompts_that_read_them() {
    let similarity = |pairs: &str| prompted("eval").edit("tasks:", &format!("similarity: {{{pairs}}}\ntasks:"));
    similarity("image: picture").check("warning-similarity-of-one");
    similarity("image: words, audio: picture, imag: pictur").check("error-similarity");
    similarity("image: picture, drawing: sketch")
        .edit_model("prompts:", "  drawing: {codec: image/gray, module: image/autoencoder, latent: [24]}\nprompts:")
        .edit_model("denoisers:", "  sketch: {codec: image/gray, module: image/prompt, tokens: [1, 32]}\ndenoisers:")
        .check("error-similarity-tokens");
}

#[test]
fn a_conflict_is_between_two_prompts() {
    let conflict = |between: &str| {
        let text = format!("conflicts:\n  mixed: {{generate: [image], between: [{between}]}}\ntasks:");
        prompted("eval").edit("tasks:", &text)
    };
    let case = conflict("words, picture").edit("tasks:", "independent: true\ntasks:");
    let Ok((Job::Eval(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    assert!(plan.options.independent);
    assert_eq!(
        plan.conflicts["mixed"].streams.names(StreamRole::is_condition).collect::<Vec<_>>(),
        ["words", "picture"]
    );
    assert_eq!(plan.conflicts["mixed"].guidance.as_ref().unwrap().name(), "cfg", "that of the file");
    snapshot("plan-prompted-conflict", &text(&Job::Eval(plan)));
    conflict("words").check("error-conflict-of-one");
    conflict("words, words").check("error-conflict-twice");
    conflict("words, pictur").check("error-conflict-prompt");
}

#[test]
fn a_coupled_network_has_a_part_for_each_stream() {
    let network = "network: {kind: coupled, parts: {image: {kind: residual-mlp, width: 32}, audio: {kind: residual-mlp}}, \
                   environment: {features: 16}}";
    let coupled = |from: &str, to: &str| {
        prompted("train")
            .edit_model("  image: {over: [image], prompts: [words, picture], network: {kind: residual-mlp}}\n", "")
            .edit_model(
                "audio: {over: [audio], prompts: [words], network: {kind: residual-mlp}}",
                &format!(
                    "image: {{over: [image, audio], prompts: [words, picture], {}}}",
                    network.replacen(from, to, 1)
                ),
            )
            .edit("{kind: denoise, p_uncond: 0.2}", "{kind: denoise, streams: [image], contrast: {}}")
    };
    let case = coupled("", "");
    let (job, warnings) = case.compile().unwrap_or_else(|errors| panic!("{}", errors.render(&[], false)));
    assert_eq!(warnings, []);
    snapshot("plan-prompted-coupled", &text(&job));
    coupled("audio: {kind: residual-mlp}", "sound: {kind: residual-mlp}").check("error-coupled-parts");
    coupled("kind: residual-mlp, width: 32", "kind: coupled").check("error-coupled-in-coupled");
    coupled("kind: residual-mlp, width: 32", "kind: residual-mlp, width: 36").check("error-coupled-sizes");
    coupled("kind: residual-mlp, width: 32", "kind: unet-mlp, width: 32").check("error-coupled-cannot-attend");
    coupled("parts: {image: {kind: residual-mlp, width: 32}, audio: {kind: residual-mlp}}, ", "")
        .check("error-coupled-none");
    coupled("", "").edit("streams: [image]", "streams: [image, sound]").check("error-objective-streams");
}

#[test]
fn a_network_that_cannot_attend_takes_no_prompt() {
    prompted("train")
        .edit_model("prompts: [words], network: {kind: residual-mlp}", "prompts: [words], network: {kind: unet-mlp}")
        .check("error-prompts-cannot-attend");
}

#[test]
fn tokens_become_nested_lists() {
    let case = prompted(PIPELINE);
    let outputs = case.main.text.lines().find(|line| line.starts_with("outputs: {")).unwrap().to_owned();
    let case = case.edit(&outputs, &outputs.replace("outputs: {", "outputs: {meant: meaning, "));
    let Ok((Job::Run(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    assert_eq!(plan.outputs["meant"], "meaning.numbers");
    let kind = plan.values["meaning.numbers"].kind.to_string();
    assert!(kind.ends_with("cells (lists of lists of numbers, List(List(Value(float32))))"), "{kind}");
}

#[test]
fn what_stands_for_an_absent_prompt_is_one_thing() {
    const TOKENS: &str = "module: text/prompt, tokens: [1, 64]";
    let absent = |absent: &str| prompted(PIPELINE).edit_model(TOKENS, &format!("{TOKENS}, absent: {absent}"));
    let Ok((Job::Run(plan), _)) = absent("{value: \"\"}").compile() else { panic!("an empty text") };
    assert_eq!(plan.model.prompts["words"].absent().unwrap().value.as_deref(), Some(""));
    absent("{value: \"\", fill: 0.5}").check("error-absent-form");
    let picture = "module: image/prompt";
    prompted(PIPELINE).edit_model(picture, &format!("absent: {{value: \"\"}}, {picture}")).check("error-absent-text");
}

#[test]
fn another_prompt_takes_the_place_of_a_condition() {
    const GUIDANCE: &str = "guidance: {kind: cfg, scale: 2.0}";
    let instead = |by: &str| format!("guidance: {{kind: cfg, scale: 2.0, instead: {{{by}}}}}");
    prompted("eval").edit(GUIDANCE, &instead("words: picture")).check("error-guidance-instead");
    prompted("eval").edit(GUIDANCE, &instead("words: sound")).check("error-guidance-instead-stranger");
    let other = prompted("eval").edit(GUIDANCE, &instead("words: avoided"));
    let words = "  words: {codec:";
    let avoided = |text: &str| text.lines().find(|line| line.starts_with(words)).unwrap().replace("words:", "avoided:");
    let avoided = format!("{}\n{words}", avoided(&other.model.text));
    other.edit_model(words, &avoided).check("error-guidance-instead-column");
    let of_variant = format!("variants: {{strong: {{{}}}}}\ntasks:\n", instead("words: words"));
    prompted("eval").edit("tasks:\n", &of_variant).check("error-guidance-instead-variant");
    let Ok((Job::Eval(plan), _)) = prompted("eval").edit(GUIDANCE, &instead("words: words")).compile() else {
        panic!("a prompt of the data takes the place")
    };
    let replaced = plan.tasks.values().flat_map(|task| task.streams.reads()).filter(|read| read.key == "instead");
    assert!(replaced.map(|read| (read.stream, read.from)).all(|names| names == ("words", "words")));
    let case = prompted(PIPELINE).edit(GUIDANCE, &instead("meaning: meaning"));
    let Ok((Job::Run(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    let diffusion = plan.steps.iter().find_map(|step| step.op.diffusion()).unwrap();
    let from = [("meaning".to_string(), 1.0)].into();
    let instead_of = Some("meaning".to_string());
    assert_eq!(diffusion.streams.0["words"], StreamRole::Condition { from, instead: instead_of });
    case.edit("instead: {meaning:", "instead: {meanings:").check("error-guidance-instead-unknown");
}
