//! Evaluation of jointly generated streams and of conflicting prompts.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_datasets::{Dataset, head};
use anyflow_plan::findings::{Answer, Findings};
use anyflow_tests::Workspace;

const WORDS: &str =
    "{use: text/words, vocabulary: [\"\", zero, one, two, three, four, five, six, seven, eight, nine], length: 1}";

const DIGITS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

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

const TOGETHER: &str = r#"  - {name: together, train: digits, weights: ["environment.*", "*context*"], objective: {kind: denoise, times: {kind: shared-all}, p_uncond: 0.5}, data: rows, steps: 60, batch: 32, optimizer: {kind: adamw, lr: 1.0e-2}}
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

/// Trains the uncoupled stages and then these, and evaluates.
fn evaluated(stages: &str) -> (Findings, Workspace) {
    let workspace = Workspace::new().digits(60).model(&MODEL.replace("WORDS", WORDS));
    workspace.write("train.yaml", &format!("{TRAINING}{stages}"));
    let scorers = workspace.path("out/scorers.safetensors").display().to_string();
    workspace.write("eval.yaml", &EVALUATION.replace("SCORERS", &scorers));
    workspace.train("out").ok();
    (workspace.evaluate("eval.yaml", "eval"), workspace)
}

/// The first rows of a task, by its index.
fn samples(workspace: &Workspace, task: usize) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let file = workspace.path(&format!("eval/samples/{task}.parquet"));
    head(&Dataset::open(&[file]).unwrap(), 100).unwrap()
}

fn answer<'f>(findings: &'f Findings, task: &str) -> &'f Answer {
    &findings.tasks[task].variants["tiny"]
}

#[test]
fn uncoupled_streams_are_equal_jointly_and_separately() {
    let (findings, workspace) = evaluated("");
    for task in ["both", "words-to-both"] {
        // Layers that attend to other streams start at zero, and the noise is the same.
        let answer = answer(&findings, task);
        assert_eq!(answer.joint, answer.independent, "{task}");
        let similarity = answer.joint.as_ref().unwrap().similarity.as_ref().unwrap();
        assert!(similarity.per_seed.len() == 2 && similarity.mean.abs() <= 1.0, "{task}");
    }
    let alone = answer(&findings, "words-to-text");
    assert!(alone.joint.is_none() && alone.independent.is_none(), "a single stream has no joint figures");
    assert_eq!(alone.streams["text"].exact.as_ref().unwrap().per_seed.len(), 2);
    assert!(answer(&findings, "words-to-both").streams["image"].exact.is_none(), "an image is not a text");
    assert!(answer(&findings, "both").streams["text"].exact.is_none(), "no text was observed");

    let of_words = samples(&workspace, 1);
    let columns: Vec<&String> = of_words[0].keys().collect();
    let predicted = ["predicted class of image", "predicted class of text"];
    assert_eq!(columns, ["words", "class", "image", predicted[0], "text", predicted[1]]);
    assert_eq!((of_words.len(), samples(&workspace, 0)[0].len()), (12, 4), "no stream of `both` is observed");
    // The class is the digit whose word is the prompt.
    for row in &of_words {
        assert_eq!(row["words"], DIGITS[row["class"].as_str().unwrap().parse::<usize>().unwrap()]);
    }
    let confusion = answer(&findings, "words-to-both").streams["image"].confusion.as_ref().unwrap();
    assert_eq!(confusion.rows.iter().flatten().sum::<u64>(), 2 * 20, "each row of both seeds is judged");
    assert!(answer(&findings, "both").streams["image"].confusion.is_none(), "no class is observed");

    let mixtures = &findings.conflicts["between"].variants["tiny"]["text"];
    assert_eq!(findings.conflicts["between"].between, ["words", "picture"]);
    assert_eq!(mixtures.iter().map(|mixture| mixture.weight).collect::<Vec<_>>(), [0.0, 0.25, 0.5, 0.75, 1.0]);
    for mixture in mixtures {
        let first = mixture.first.mean;
        let second = mixture.second.mean;
        assert!(first > 0.0 && second > 0.0 && first + second <= 1.0 + 1e-6, "shares {first} and {second}");
    }
}

#[test]
fn coupled_streams_differ_from_separately_generated_ones() {
    let (findings, _workspace) = evaluated(TOGETHER);
    let answer = answer(&findings, "both");
    let similarity = |fit: &Option<anyflow_plan::findings::Fit>| fit.as_ref().unwrap().similarity.clone().unwrap();
    assert_ne!(similarity(&answer.joint), similarity(&answer.independent));
    // Only the joint generation counts.
    assert_eq!(answer.network_calls_per_row, 5.0);
}
