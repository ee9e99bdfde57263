//! A stream that reads another's network, through the programs: trained on generated captions, then asked for classes.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::path::Path;

use anyflow_datasets::{Dataset, OwnedCell};
use anyflow_runtime::checkpoint;
use anyflow_tests::anyflow;
use serde_json::Value;

const MODEL: &str = r#"
anyflow: 1
name: tiny
checkpoint: CHECKPOINT
streams:
  image: {codec: {use: image/rgb, height: 32, width: 32}, module: {use: image/maps, hidden: 8, maps: 4}, latent: [4, 8, 8]}
  query: {codec: WORDS, module: {use: text/query, features: 16}, latent: [16], schedule: {kind: cosine}}
prompts:
  words: {codec: WORDS, module: {use: text/prompt, hidden: 32, features: 8}, tokens: [1, 8]}
  picture: {codec: {use: image/rgb, height: 32, width: 32}, module: {use: image/prompt, hidden: 64, features: 16}, tokens: [1, 16]}
denoisers:
  digits:
    over: [image, query]
    prompts: [words]
    network:
      kind: dual-stream
      parts:
        image: {kind: unet, block_out_channels: [8, 16], layers_per_block: 1, num_attention_heads: 2, norm_num_groups: 4, attention: [false]}
        query: {kind: residual-mlp, width: 64, blocks: 2}
      reads: {query: {stream: image, sites: [down.0, middle, last], features: 16}}
"#;

const WORDS: &str = r#"{use: text/words, vocabulary: ["", a, red, green, blue, yellow, purple, cyan, zero, one, two, three, four, five, six, seven, eight, nine, left, centre, right], length: 4}"#;

const TRAINING: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
seed: 3
sources: {digits: {generate: captions, rows: 300, seed: 1}}
data:
  rows: {columns: {image: digits.image, picture: digits.image, query: digits.text, words: digits.text}}
stages:
  - {name: pictures, train: image, objective: {kind: reconstruct, loss: mse}, data: rows, steps: 60, batch: 16, optimizer: {kind: adamw, lr: 3.0e-3}}
  - {name: meet, train: [query, picture], objective: {kind: contrast, with: query}, data: rows, steps: 60, batch: 64, optimizer: {kind: adamw, lr: 3.0e-3}}
  - {name: statistics, objective: {kind: statistics}, data: rows}
  - name: both
    train: digits
    objective:
      kind: denoise
      times: {kind: alternating, patterns: [{image: noisy}, {image: clean, query: noisy}]}
      contrast: {stream: query, weight: 0.5, temperature: 0.1}
    data: rows
    steps: 250
    batch: 32
    ema: 0.98
    optimizer: {kind: adamw, lr: 4.0e-3, warmup: 10}
"#;

const EVALUATION: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
sources: {digits: {generate: captions, rows: 200, seed: 2}}
data: {columns: {image: digits.image, query: digits.text}, class: digits.colour}
judges: {}
sampler: {kind: ddim, steps: 3}
rows: 120
tasks:
  colour: {score: query, observe: [image], classes: [red, green, blue, yellow, purple, cyan], at_least: 0.35}
  retrieval: {score: query, observe: [image]}
"#;

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn program(command: &str, file: &Path, output: &Path, more: &[&str]) -> Value {
    let arguments = [command.as_ref(), file.as_os_str(), "--output".as_ref(), output.as_os_str(), "--json".as_ref()];
    let more = more.iter().chain(&["--threads", "1"]).map(std::ffi::OsStr::new);
    anyflow(arguments.into_iter().chain(more)).ok().json()
}

fn column(folder: &Path, name: &str) -> Vec<OwnedCell> {
    let data = Dataset::open(&[folder.to_path_buf()]).unwrap();
    let batch = data.read(Some(&[name]), 0..data.rows(), 64).unwrap().next().unwrap().unwrap();
    let cells = data.cells(&batch, name).unwrap();
    (0..cells.len()).map(|row| cells.get(row).unwrap().unwrap().into_owned()).collect()
}

fn numbers(cell: &OwnedCell) -> Vec<f64> {
    let OwnedCell::List(list) = cell else { panic!("{cell:?}") };
    list.as_list().values().to_vec()
}

#[test]
fn classes_are_told_in_any_order_and_pictures_are_made_by_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weights = folder.join("out/model.safetensors");
    let model = MODEL.replace("WORDS", WORDS).replace("CHECKPOINT", &weights.display().to_string());
    write(folder, "model.yaml", &model);
    program("train", &write(folder, "train.yaml", TRAINING), &folder.join("out"), &[]);
    assert!(
        checkpoint::read(&weights).unwrap().tensors.keys().any(|name| name.contains("reads.query.down.0.position"))
    );

    let found = program("eval", &write(folder, "eval.yaml", EVALUATION), &folder.join("eval"), &[]);
    let colour = &found["tasks"]["colour"]["variants"]["tiny"];
    assert!(colour["coherence"]["mean"].as_f64().unwrap() > 0.35, "chance is one in six: {colour}");
    let recall = &found["tasks"]["retrieval"]["variants"]["tiny"]["recall"];
    let at = |name: &str| recall[name]["mean"].as_f64().unwrap();
    assert!(at("recall@10") >= at("recall@1") && at("reverse recall@10") > 0.15, "chance is one in twelve: {recall}");

    let data = folder.join("data.parquet");
    let made = ["data", "generate", "captions", "--rows", "24", "--seed", "5", "--output"].map(AsRef::as_ref);
    anyflow(made.into_iter().chain([data.as_os_str()])).ok();
    let input = ["--input", data.to_str().unwrap(), "--batch-rows", "16"];
    let classify = |name: &str, classes: &str| {
        let yaml = format!(
            "anyflow: 1\nname: {name}\nmodel: model.yaml\ninputs: {{image: {{modality: image}}}}\nnodes:\n  \
             seen: {{encode: image/maps, from: image}}\n  class: {{score: query, observe: {{image: seen}}, classes: \
             [{classes}], sampler: {{kind: ddim, steps: 3}}}}\noutputs: {{class: class.label, scores: class.scores}}\n"
        );
        let output = folder.join(name);
        let result = program("run", &write(folder, &format!("{name}.yaml"), &yaml), &output, &input);
        // Two draws of three steps, whatever the number of classes: the rest of a row's cost is the trunk's.
        assert_eq!(result["row_steps"].as_u64(), Some(24 * 2 * 3));
        (column(&output, "class"), column(&output, "scores"))
    };
    let (classes, scores) = classify("forth", "red, green, blue, yellow, purple, cyan");
    let (turned, reversed) = classify("back", "cyan, purple, yellow, blue, green, red");
    assert_eq!(classes, turned, "the order of the classes does not count");
    for (one, other) in scores.iter().zip(&reversed) {
        let (one, mut other) = (numbers(one), numbers(other));
        other.reverse();
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-6), "f32");
    }

    let words = "anyflow: 1\nname: draw\nmodel: model.yaml\ninputs: {text: {modality: text}}\nnodes:\n  meaning: {embed: \
                 text/prompt, from: text}\n  made: {diffuse: [image], condition: {meaning: 1.0}, absent: [query], \
                 sampler: {kind: ddim, steps: 3}}\n  picture: {decode: image/maps, from: made.image}\noutputs: \
                 {image: picture}\n";
    let result = program("run", &write(folder, "draw.yaml", words), &folder.join("drawn"), &input);
    assert_eq!((result["rows"].as_u64(), result["row_steps"].as_u64()), (Some(24), Some(24 * 3)));
}
