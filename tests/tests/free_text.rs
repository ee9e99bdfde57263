//! Free text in and out without a tokenizer: bytes through an autoencoder, as prompts, and generated.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_datasets::{Feature, OwnedCell};
use anyflow_tests::{Output, Workspace, anyflow};

const MODEL: &str = r#"
anyflow: 1
name: captions
checkpoint: CHECKPOINT
streams:
  caption: {codec: {use: text/bytes, length: 32, on_long: cut}, module: {use: text/byte-autoencoder, hidden: 192}, latent: [24]}
prompts:
  request: {codec: {use: text/bytes, length: 48}, module: {use: text/byte-prompt, hidden: 64, dropout: 0.0}, tokens: [1, 24]}
denoisers:
  written: {over: [caption], prompts: [request], network: {kind: residual-mlp, width: 128, blocks: 2, num_attention_heads: 4}, predict: x0}
"#;

const TRAINING: &str = r#"
anyflow: 1
name: captions
model: model.yaml
seed: 3
sources: {captions: train}
data:
  rows: {columns: {caption: captions.text, request: captions.text}}
stages:
  - {name: bytes, train: caption, objective: {kind: reconstruct, loss: mse}, data: rows, steps: 1500, batch: 32, optimizer: {kind: adamw, lr: 3.0e-3, decay: cosine}}
  - {name: statistics, objective: {kind: statistics}, data: rows}
  - {name: request, train: request, objective: {kind: contrast, with: caption}, data: rows, steps: 200, batch: 32, optimizer: {kind: adamw, lr: 2.0e-3}}
  - {name: writing, train: written, objective: {kind: denoise}, data: rows, steps: 1000, batch: 64, optimizer: {kind: adamw, lr: 2.0e-3, decay: cosine}}
"#;

/// Captions in several scripts, all different; one is too long, and one is not in composed form.
fn captions() -> Vec<String> {
    let colors = ["red", "grün", "bleu", "黄色", "лиловый"];
    let digits = ["zero", "ein", "deux", "三", "четыре", "5", "sei\u{301}s", "🧭"];
    let all = colors.iter().flat_map(|color| digits.iter().map(move |digit| format!("{color} {digit}")));
    all.chain(["a caption of more than thirty-two bytes".to_string()]).collect()
}

fn workspace(steps: &str) -> Workspace {
    let workspace = Workspace::new().model(MODEL).training(&TRAINING.replace("steps: 1500", steps));
    let cells = captions().into_iter().map(|text| Some(OwnedCell::Utf8(text))).collect();
    workspace.column("train", "text", Feature::Value("string".into()), cells);
    workspace
}

/// Trains into `out`, with messages on standard error.
fn train(workspace: &Workspace) -> Output {
    let [file, output] = ["train.yaml", "out"].map(|name| workspace.path(name).into_os_string());
    anyflow(["train".into(), file, "--output".into(), output, "--threads".into(), "1".into()]).ok()
}

/// The share of captions that come back byte for byte in a column of an output.
fn share(workspace: &Workspace, output: &str) -> f64 {
    let composed = |text: &str| text.replace("i\u{301}", "í");
    let wanted = captions().into_iter().map(|text| composed(&text).chars().take(32).collect::<String>());
    let found = workspace.cells(output, "back");
    let same = wanted.zip(&found).filter(|(wanted, found)| **found == OwnedCell::Utf8(wanted.clone())).count();
    same as f64 / found.len() as f64
}

#[test]
fn captions_come_back_byte_for_byte_and_a_prompt_writes_them() {
    let workspace = workspace("steps: 1500");
    let trained = train(&workspace);
    assert_eq!(trained.err.matches("texts were cut to 32 bytes").count(), 1, "{}", trained.err);
    assert!(trained.err.contains("1 of 41 texts were cut"), "{}", trained.err);
    assert!(!trained.err.contains("u{1b}") && !trained.err.contains('\u{1b}'), "no colours: {}", trained.err);
    let data = workspace.path("train").display().to_string();
    let there_and_back = "inputs: {text: {modality: text}}\nnodes:\n  latent: {encode: text/byte-autoencoder, from: text}\n  \
                          back: {decode: text/byte-autoencoder, from: latent}\noutputs: {back: back}\n";
    workspace.run("again", there_and_back, &["--input", &data]);
    assert!(share(&workspace, "again") > 0.95, "{}", share(&workspace, "again"));
    let written = "inputs: {text: {modality: text}}\nnodes:\n  meaning: {embed: text/byte-prompt, from: text}\n  \
                   made: {diffuse: [caption], condition: {meaning: 1.0}, sampler: {kind: ddim, steps: 20}}\n  \
                   back: {decode: text/byte-autoencoder, from: made.caption}\noutputs: {back: back}\n";
    workspace.run("written", written, &["--input", &data]);
    assert!(share(&workspace, "written") > 0.9, "{}", share(&workspace, "written"));
}

#[test]
fn an_untrained_autoencoder_does_not_give_captions_back() {
    let workspace = workspace("steps: 1");
    workspace.rewrite("train.yaml", |yaml| yaml.replace("steps: 200", "steps: 1").replace("steps: 1000", "steps: 1"));
    workspace.train("out").ok();
    let data = workspace.path("train").display().to_string();
    let there_and_back = "inputs: {text: {modality: text}}\nnodes:\n  latent: {encode: text/byte-autoencoder, from: text}\n  \
                          back: {decode: text/byte-autoencoder, from: latent}\noutputs: {back: back}\n";
    workspace.run("again", there_and_back, &["--input", &data]);
    assert!(share(&workspace, "again") < 0.1, "{}", share(&workspace, "again"));
}

#[test]
fn a_long_text_fails_its_row_unless_it_may_be_cut() {
    let workspace = workspace("steps: 1");
    workspace.rewrite("model.yaml", |yaml| yaml.replace(", on_long: cut", ""));
    workspace.rewrite("train.yaml", |yaml| yaml.replace("steps: 200", "steps: 1").replace("steps: 1000", "steps: 1"));
    let trained = train(&workspace);
    let words = ["1 of 41 rows are left out", "the text has 39 bytes, more than `length: 32`"];
    assert!(words.iter().all(|words| trained.err.contains(words)), "{}", trained.err);
    let summary = std::fs::read_to_string(workspace.path("out/train.json")).unwrap();
    assert!(summary.contains("\"rows\": 40") && !summary.contains("\"rows\": 41"), "{summary}");
}
