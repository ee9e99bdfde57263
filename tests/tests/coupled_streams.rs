//! Prompts and coupled streams: trained stage by stage, then run.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_datasets::{Feature, OwnedCell};
use anyflow_tests::Workspace;

const MODEL: &str = r#"
anyflow: 1
name: tiny
checkpoint: CHECKPOINT
streams:
  image: {codec: image/gray, module: {use: image/maps, hidden: 4, maps: 2}, latent: [2, 7, 7]}
  label: {codec: {use: label/one-hot, classes: 10}, latent: [10]}
prompts:
  words: {codec: {use: text/words, vocabulary: ["", zero, one, two, three, four, five, six, seven, eight, nine], length: 1}, module: {use: text/prompt, hidden: 32, features: 8}, tokens: [1, 8]}
  sound: {codec: {use: audio/log-mel, bands: 16, frames: 32}, module: {use: audio/prompt, hidden: 32, features: 8}, tokens: [1, 8]}
denoisers:
  digits:
    over: [image, label]
    prompts: [words, sound]
    network:
      kind: coupled
      parts:
        image: {kind: unet, block_out_channels: [8], layers_per_block: 1, num_attention_heads: 2, norm_num_groups: 4}
        label: {kind: residual-mlp, width: 32, blocks: 2}
      environment: {width: 16, features: 8}
"#;

const TRAINING: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
seed: 3
sources: {digits: train}
data:
  rows: {columns: {image: digits.image, label: digits.label, words: digits.text, sound: digits.audio}}
  named: {columns: {image: digits.image, label: digits.label, words: digits.text}}
stages:
  - {name: pictures, train: image, objective: {kind: reconstruct, loss: mse}, data: rows, steps: 30, batch: 16}
  - {name: statistics, objective: {kind: statistics}, data: rows}
  - {name: meet, train: [words, sound], objective: {kind: contrast, with: words}, data: rows, steps: 60, batch: 32, optimizer: {kind: adamw, lr: 3.0e-3}}
  - {name: image, train: digits, objective: {kind: denoise, streams: [image], times: {kind: shared-all}}, data: rows, steps: 20, batch: 16}
  - {name: label, train: digits, objective: {kind: denoise, streams: [label], times: {kind: shared-all}}, data: named, steps: 400, batch: 32, ema: 0.9, optimizer: {kind: adamw, lr: 3.0e-3}}
"#;

const TOGETHER: &str = r#"  - {name: together, train: digits, weights: ["environment.label.*", "parts.*.*context*"], objective: {kind: denoise, streams: [image, label], times: {kind: shared-all}, contrast: {weight: 0.5}}, data: rows, steps: 20, batch: 16, ema: 0.9}
"#;

#[test]
fn prompts_and_coupled_streams_train_stage_by_stage_and_run() {
    let workspace = Workspace::new().digits(200).model(MODEL);
    let trained = |stages: &str, output: &str| {
        workspace.write("train.yaml", &format!("{TRAINING}{stages}"));
        workspace.train(output).ok();
        workspace.weights(output)
    };
    let apart = trained("", "apart");
    let together = trained(TOGETHER, "out");
    // The last stage changes the weights that it names, and no others.
    assert_eq!(apart.keys().collect::<Vec<_>>(), together.keys().collect::<Vec<_>>());
    for (name, before) in &apart {
        let learns = name.contains("environment.label.") || name.contains("context");
        let same = *before == together[name];
        assert!(learns || same, "{name} must not change");
    }
    let moved = |part: &str| apart.iter().any(|(name, before)| name.contains(part) && *before != together[name]);
    assert!(moved("environment.label.") && moved("parts.image.") && moved("parts.label."));

    let words = ["three", "seven", "zero", "nine"].map(|word| Some(OwnedCell::Utf8(word.into()))).to_vec();
    let data = workspace.column("data", "text", Feature::Value("string".into()), words).display().to_string();
    let labels = |name: &str, diffuse: &str| {
        let lines = format!(
            "inputs: {{text: {{modality: text}}}}\nnodes:\n  meaning: {{embed: text/prompt, from: text}}\n  \
             made: {{{diffuse}, condition: {{meaning: 1.0}}, guidance: {{kind: cfg, scale: 1.5}}, sampler: {{kind: ddim, steps: 10}}}}\n  \
             digit: {{decode: label/one-hot, from: made.label}}\noutputs: {{label: digit}}\n"
        );
        workspace.run(name, &lines, &["--input", &data]);
        workspace.cells(name, "label")
    };
    let expected = [3, 7, 0, 9].map(OwnedCell::I64);
    let alone = labels("alone", "diffuse: [label], absent: [image]");
    assert_eq!(alone, expected, "a label follows the word that conditions it");
    assert_eq!(labels("coupled", "diffuse: [label], marginalize: [image]").len(), 4);
}

/// A model whose prompt has a text that stands for its absence.
fn labels_of_words() -> Workspace {
    let model = MODEL.replace("tokens: [1, 8]}\n  sound:", "tokens: [1, 8], absent: {value: zero}}\n  sound:");
    assert_ne!(model, MODEL);
    let workspace = Workspace::new().digits(200).model(&model);
    workspace.write("train.yaml", TRAINING);
    workspace.train("out").ok();
    workspace
}

#[test]
fn another_prompt_takes_the_place_of_a_condition_or_of_none() {
    let workspace = labels_of_words();
    let column = |name: &str, words: &[&str]| {
        let cells = words.iter().map(|word| Some(OwnedCell::Utf8(word.to_string()))).collect();
        workspace.column(name, "text", Feature::Value("string".into()), cells).display().to_string()
    };
    let words = ["three", "seven", "zero", "nine"];
    let run_with = |name: &str, rows: [&str; 2], keys: &str| {
        let lines = format!(
            "inputs: {{text: {{modality: text}}}}\nnodes:\n  meaning: {{embed: text/prompt, from: text}}\n  \
             made: {{diffuse: [label], absent: [image], {keys}sampler: {{kind: ddim, steps: 10}}}}\n  \
             digit: {{decode: label/one-hot, from: made.label}}\noutputs: {{label: digit}}\n"
        );
        let result = workspace.run(name, &lines, &rows);
        (workspace.cells(name, "label"), result)
    };
    let run = |name: &str, data: &str, keys: &str| run_with(name, ["--input", data], keys);
    let data = column("data", &words);
    let meant = [3, 7, 0, 9].map(OwnedCell::I64);
    // With scale 0 only the branch counts: it sees the replacement, or the text that stands for no prompt.
    let branch = |instead: &str| format!("condition: {{meaning: 1.0}}, guidance: {{kind: cfg, scale: 0.0{instead}}}, ");
    let (replaced, _) = run("replaced", &data, &branch(", instead: {meaning: meaning}"));
    assert_eq!(replaced, meant);
    let zeros = column("zeros", &["zero"; 4]);
    let (zeros, _) = run("of-zeros", &zeros, "condition: {meaning: 1.0}, ");
    assert_ne!(zeros, meant);
    assert_eq!(run("dropped", &data, &branch("")).0, zeros);
    // Nothing reads the input, so the pipeline has none.
    assert_eq!(run_with("nothing", ["--rows", "4"], "").0, zeros);

    // Not of "zero": a network that sees it in place of no prompt cannot know which of both is meant.
    let repeated = column("repeated", &["three", "seven", "nine"].repeat(8));
    let (labels, result) = run("repeated-run", &repeated, "condition: {meaning: 1.0}, ");
    assert_eq!(labels, [3, 7, 9].repeat(8).into_iter().map(OwnedCell::I64).collect::<Vec<_>>());
    assert_eq!([&result["prompt_rows"], &result["encoded_prompts"]], [24, 3]);
}
