//! Prompts and coupled streams through the programs: trained stage by stage, then run.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::path::Path;

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_runtime::checkpoint::{self, Tensors};
use anyflow_tests::{anyflow, write_columns, write_digits};

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

fn trained(folder: &Path, stages: &str, output: &str) -> Tensors {
    let model = MODEL.replace("CHECKPOINT", &folder.join("out/model.safetensors").display().to_string());
    std::fs::write(folder.join("model.yaml"), model).unwrap();
    let (yaml, output) = (folder.join(format!("{output}.yaml")), folder.join(output));
    std::fs::write(&yaml, format!("{TRAINING}{stages}")).unwrap();
    let arguments = ["train".as_ref(), yaml.as_os_str(), "--output".as_ref(), output.as_os_str()];
    anyflow(arguments.into_iter().chain(["--threads", "1"].map(AsRef::as_ref))).ok();
    checkpoint::read(&output.join("model.safetensors")).unwrap().tensors
}

fn labels(folder: &Path) -> Vec<Option<OwnedCell>> {
    let data = Dataset::open(&[folder.to_path_buf()]).unwrap();
    let batch = data.read(Some(&["label"]), 0..data.rows(), 64).unwrap().next().unwrap().unwrap();
    let cells = data.cells(&batch, "label").unwrap();
    (0..cells.len()).map(|row| cells.get(row).unwrap().map(|cell| cell.into_owned())).collect()
}

#[test]
fn prompts_and_couplings_are_trained_stage_by_stage_and_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_digits(&folder.join("train"), 200);
    let apart = trained(folder, "", "apart");
    let together = trained(folder, TOGETHER, "out");
    // The last stage changes what it names, and nothing else by a single bit.
    assert_eq!(apart.keys().collect::<Vec<_>>(), together.keys().collect::<Vec<_>>());
    for (name, before) in &apart {
        let learns = name.contains("environment.label.") || name.contains("context");
        let same = *before == together[name];
        assert!(learns || same, "{name} was to stay");
    }
    let moved = |part: &str| apart.iter().any(|(name, before)| name.contains(part) && *before != together[name]);
    assert!(moved("environment.label.") && moved("parts.image.") && moved("parts.label."));

    let pipeline = |name: &str, nodes: &str| {
        let path = folder.join(format!("{name}.yaml"));
        let inputs = "inputs:\n  text: {modality: text}\n";
        let outputs = "  digit: {decode: label/one-hot, from: made.label}\noutputs: {label: digit}\n";
        std::fs::write(&path, format!("anyflow: 1\nname: {name}\nmodel: model.yaml\n{inputs}nodes:\n{nodes}{outputs}"))
            .unwrap();
        path
    };
    let words = ["three", "seven", "zero", "nine"].map(|word| Some(OwnedCell::Utf8(word.into()))).to_vec();
    let data = folder.join("data");
    write_columns(&data, vec![("text", Feature::Value("string".into()), words)]);
    let run = |pipeline: &Path, output: &str| {
        let output = folder.join(output);
        let arguments =
            ["run".as_ref(), pipeline.as_os_str(), "--input".as_ref(), data.as_os_str(), "--output".as_ref()];
        anyflow(arguments.into_iter().chain([output.as_os_str(), "--threads".as_ref(), "1".as_ref()])).ok();
        labels(&output)
    };
    let embed = "  meaning: {embed: text/prompt, from: text}\n";
    let made = |diffuse: &str| {
        format!(
            "{embed}  made: {{{diffuse}, condition: {{meaning: 1.0}}, guidance: {{kind: cfg, scale: 1.5}}, sampler: {{kind: ddim, steps: 10}}}}\n"
        )
    };
    let alone = run(&pipeline("alone", &made("diffuse: [label], absent: [image]")), "alone");
    let wanted = [3, 7, 0, 9].map(|digit| Some(OwnedCell::I64(digit)));
    assert_eq!(alone, wanted, "a label follows the word that conditions it");
    let coupled = run(&pipeline("coupled", &made("diffuse: [label], along: [image]")), "coupled");
    assert_eq!(coupled.len(), 4);
}
