//! What an evaluation says of streams that are generated together, and of prompts that contradict one another.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::path::Path;

use anyflow_plan::findings::{Answer, Findings};
use anyflow_tests::{anyflow, write_digits};

const WORDS: &str =
    "{use: text/words, vocabulary: [\"\", zero, one, two, three, four, five, six, seven, eight, nine], length: 1}";

const MODEL: &str = r#"
anyflow: 1
name: tiny
checkpoint: CHECKPOINT
streams:
  image: {codec: image/gray, module: {use: image/maps, hidden: 4, maps: 2}, latent: [2, 7, 7]}
  text: {codec: WORDS, latent: [1, 11]}
prompts:
  words: {codec: WORDS, module: {use: text/prompt, hidden: 16, features: 8}, tokens: [1, 8]}
  picture: {codec: image/gray, module: {use: image/prompt, hidden: 16, features: 8}, tokens: [1, 8]}
denoisers:
  digits:
    over: [image, text]
    prompts: [words, picture]
    network:
      kind: coupled
      parts:
        image: {kind: residual-mlp, width: 16, blocks: 1}
        text: {kind: residual-mlp, width: 16, blocks: 1}
      environment: {width: 16, features: 8}
"#;

const TRAINING: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
sources: {digits: train}
data: {rows: {columns: {image: digits.image, text: digits.text, words: digits.text, picture: digits.image}, class: digits.label}}
scorers: {image: {stream: image, score: image/classifier}, text: {stream: text, score: text/classifier}}
stages:
  - {name: image-judge, train: image, objective: {kind: classify}, data: rows, steps: 30, batch: 16}
  - {name: text-judge, train: text, objective: {kind: classify}, data: rows, steps: 60, batch: 32, optimizer: {kind: adamw, lr: 3.0e-3}}
  - {name: statistics, objective: {kind: statistics}, data: rows}
  - {name: meet, train: [words, picture], objective: {kind: contrast, with: words}, data: rows, steps: 30, batch: 16}
  - {name: image, train: digits, objective: {kind: denoise, streams: [image], times: {kind: shared-all}}, data: rows, steps: 60, batch: 32}
  - {name: text, train: digits, objective: {kind: denoise, streams: [text], times: {kind: shared-all}}, data: rows, steps: 60, batch: 32}
"#;

const TOGETHER: &str = r#"  - {name: together, train: digits, weights: ["environment.*", "*context*"], objective: {kind: denoise, times: {kind: shared-all}, p_unprompted: 0.5}, data: rows, steps: 60, batch: 32, optimizer: {kind: adamw, lr: 1.0e-2}}
"#;

const EVALUATION: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
sources: {digits: train}
data: {columns: {image: digits.image, text: digits.text, words: digits.text, picture: digits.image}, class: digits.label}
judges:
  image: {score: image/classifier, weights: SCORERS}
  text: {score: text/classifier, weights: SCORERS}
similarity: {image: picture, text: words}
independent: true
sampler: {kind: ddim, steps: 5}
rows: 20
seeds: [1, 2]
tasks:
  both: {generate: [image, text]}
  words-to-both: {generate: [image, text], condition: {words: 1.0}}
  words-to-text: {generate: [text], condition: {words: 1.0}, absent: [image]}
conflicts:
  between: {generate: [text], between: [words, picture], absent: [image]}
"#;

/// Trains what is not coupled and then these stages, and evaluates.
fn evaluated(stages: &str) -> Findings {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    write_digits(Path::new(&path("train")), 60);
    let model = MODEL.replace("CHECKPOINT", &path("out/model.safetensors")).replace("WORDS", WORDS);
    std::fs::write(path("model.yaml"), model).unwrap();
    std::fs::write(path("train.yaml"), format!("{TRAINING}{stages}")).unwrap();
    std::fs::write(path("eval.yaml"), EVALUATION.replace("SCORERS", &path("out/scorers.safetensors"))).unwrap();
    anyflow(["train", &path("train.yaml"), "--output", &path("out"), "--threads", "1"]).ok();
    let found = anyflow(["eval", &path("eval.yaml"), "--output", &path("eval"), "--threads", "1", "--json"]);
    serde_json::from_value(found.ok().json()).unwrap()
}

fn answer<'f>(findings: &'f Findings, task: &str) -> &'f Answer {
    &findings.tasks[task].variants["tiny"]
}

#[test]
fn streams_that_see_nothing_of_one_another_are_the_same_apart() {
    let findings = evaluated("");
    for task in ["both", "words-to-both"] {
        // Layers that read other streams start at zero, and the noise is the same.
        let answer = answer(&findings, task);
        assert_eq!(answer.joint, answer.independent, "{task}");
        let similarity = answer.joint.as_ref().unwrap().similarity.as_ref().unwrap();
        assert!(similarity.per_seed.len() == 2 && similarity.mean.abs() <= 1.0, "{task}");
    }
    let alone = answer(&findings, "words-to-text");
    assert!(alone.joint.is_none() && alone.independent.is_none(), "one stream is not together with any");
    assert_eq!(alone.streams["text"].exact.as_ref().unwrap().per_seed.len(), 2);
    assert!(answer(&findings, "words-to-both").streams["image"].exact.is_none(), "a picture is no text");
    assert!(answer(&findings, "both").streams["text"].exact.is_none(), "nothing was given");

    let mixtures = &findings.conflicts["between"].variants["tiny"]["text"];
    assert_eq!(findings.conflicts["between"].between, ["words", "picture"]);
    assert_eq!(mixtures.iter().map(|mixture| mixture.weight).collect::<Vec<_>>(), [0.0, 0.25, 0.5, 0.75, 1.0]);
    for mixture in mixtures {
        let (first, second) = (mixture.first.mean, mixture.second.mean);
        assert!(first > 0.0 && second > 0.0 && first + second <= 1.0 + 1e-6, "{first} and {second} of one row");
    }
}

#[test]
fn coupled_streams_are_others_than_apart() {
    let findings = evaluated(TOGETHER);
    let answer = answer(&findings, "both");
    let similarity = |fit: &Option<anyflow_plan::findings::Fit>| fit.as_ref().unwrap().similarity.clone().unwrap();
    assert_ne!(similarity(&answer.joint), similarity(&answer.independent));
    // Only what is generated together is counted.
    assert_eq!(answer.network_calls_per_row, 5.0);
}
