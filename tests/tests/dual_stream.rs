//! A dual-stream network, in which one stream attends to features of another's network: trained on generated captions,
//! then used as a classifier, for retrieval and for generation.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_datasets::OwnedCell;
use anyflow_tests::{Workspace, anyflow};

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
  colour: {score: query, observe: [image], classes: [red, green, blue, yellow, purple, cyan], min_coherence: 0.35}
  retrieval: {score: query, observe: [image]}
"#;

fn numbers(cell: &OwnedCell) -> Vec<f64> {
    let OwnedCell::List(list) = cell else { panic!("{cell:?}") };
    list.as_list().values().to_vec()
}

#[test]
fn a_dual_stream_model_classifies_retrieves_and_generates() {
    let workspace = Workspace::new().model(&MODEL.replace("WORDS", WORDS));
    workspace.write("train.yaml", TRAINING);
    workspace.train("out").ok();
    assert!(workspace.weights("out").keys().any(|name| name.contains("reads.query.down.0.position")));

    workspace.write("eval.yaml", EVALUATION);
    let found = workspace.call("eval", "eval.yaml", "eval", &[]).ok().json();
    let colour = &found["tasks"]["colour"]["variants"]["tiny"];
    assert!(colour["coherence"]["mean"].as_f64().unwrap() > 0.35, "chance is one in six: {colour}");
    let recall = &found["tasks"]["retrieval"]["variants"]["tiny"]["recall"];
    let at = |name: &str| recall[name]["mean"].as_f64().unwrap();
    assert!(at("recall@10") >= at("recall@1") && at("reverse recall@10") > 0.15, "chance is one in twelve: {recall}");

    let data = workspace.path("data.parquet").display().to_string();
    anyflow(["data", "generate", "captions", "--rows", "24", "--seed", "5", "--output", &data]).ok();
    let input = ["--input", &data, "--batch-rows", "16"];
    let classify = |name: &str, classes: &str| {
        let lines = format!(
            "inputs: {{image: {{modality: image}}}}\nnodes:\n  seen: {{encode: image/maps, from: image}}\n  \
             class: {{score: query, observe: {{image: seen}}, classes: [{classes}], sampler: {{kind: ddim, steps: 3}}}}\n\
             outputs: {{class: class.label, scores: class.scores}}\n"
        );
        let result = workspace.run(name, &lines, &input);
        // Two draws of three steps, for any number of classes: the image network runs once per step.
        assert_eq!(result["row_steps"].as_u64(), Some(24 * 2 * 3));
        (workspace.cells(name, "class"), workspace.cells(name, "scores"))
    };
    let (classes, scores) = classify("forth", "red, green, blue, yellow, purple, cyan");
    let (turned, reversed) = classify("back", "cyan, purple, yellow, blue, green, red");
    assert_eq!(classes, turned, "the order of the classes does not matter");
    for (one, other) in scores.iter().zip(&reversed) {
        let one = numbers(one);
        let mut other = numbers(other);
        other.reverse();
        assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-6), "f32");
    }

    let lines = "inputs: {text: {modality: text}}\nnodes:\n  meaning: {embed: text/prompt, from: text}\n  \
                 made: {diffuse: [image], condition: {meaning: 1.0}, absent: [query], sampler: {kind: ddim, steps: 3}}\n  \
                 drawn: {decode: image/maps, from: made.image}\noutputs: {image: drawn}\n";
    let result = workspace.run("draw", lines, &input);
    assert_eq!((result["rows"].as_u64(), result["row_steps"].as_u64()), (Some(24), Some(24 * 3)));
}
