//! Auxiliary streams: a label that conditions and is predicted, and a masked image that conditions; trained, run and
//! evaluated.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_datasets::{Feature, OwnedCell};
use anyflow_plan::findings::Findings;
use anyflow_tests::{Workspace, digit_png};

const MODEL: &str = r#"
anyflow: 1
name: tiny
checkpoint: CHECKPOINT
streams:
  image:
    codec: image/gray
    module: {use: image/autoencoder, hidden: 32}
    latent: [8]
    aggregate: {label: {weight: 0.3}, seen: {weight: 1.0, law: bump, dropout: 0.5}}
  label: {codec: {use: label/one-hot, classes: 10}, latent: [10]}
  seen: {codec: {use: image/masked, least: 0.2, most: 0.6}, module: {use: image/autoencoder, hidden: 32}, latent: [8]}
denoisers:
  digits: {over: [image], network: {kind: residual-mlp, width: 48, blocks: 2}, predict: v}
heads:
  label: {reads: digits.middle, network: {kind: mlp, width: 32}, loss: cross-entropy, weight: 2.0}
"#;

const TRAINING: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
seed: 3
sources: {digits: train}
data:
  rows: {columns: {image: digits.image, seen: digits.image, label: digits.label}}
  named:
    columns: {image: digits.image}
    class: digits.text
    classes: [zero, one, two, three, four, five, six, seven, eight, nine]
scorers: {image: {stream: image, score: image/classifier}}
stages:
  - {name: judge, train: image, objective: {kind: classify}, data: named, steps: 40, batch: 32, optimizer: {kind: adamw, lr: 3.0e-3}}
  - {name: images, train: image, objective: {kind: reconstruct}, data: rows, steps: 300, batch: 32, optimizer: {kind: adamw, lr: 3.0e-3}}
  - {name: masked, train: seen, objective: {kind: reconstruct}, data: rows, steps: 20, batch: 16}
  - {name: statistics, objective: {kind: statistics}, data: rows}
  - {name: digits, train: digits, objective: {kind: denoise, times: {kind: shared-all}}, data: rows, steps: 600, batch: 64, ema: 0.9, optimizer: {kind: adamw, lr: 3.0e-3}}
  - {name: head, train: digits, weights: ["heads.*"], objective: {kind: denoise, denoise_weight: 0, times: {kind: shared-all}}, data: rows, steps: 30, batch: 32}
"#;

const EVALUATION: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
sources: {digits: train}
data: {columns: {image: digits.image, seen: digits.image, label: digits.label}, class: digits.label}
judges: {image: {score: image/classifier, weights: SCORERS}, label: {score: label/one-hot}}
sampler: {kind: ddim, steps: 4}
rows: 30
tasks:
  joint: {generate: [image, label]}
  restore: {observe: [seen], generate: [image]}
  label-to-image: {observe: [label], generate: [image]}
  edit: {start: {image: image}, generate: [image], absent: [label]}
"#;

#[test]
fn a_label_is_predicted_and_conditions_and_a_masked_image_conditions() {
    let workspace = Workspace::new().digits(200).model(MODEL);
    workspace.write("train.yaml", TRAINING);
    workspace.train("out").ok();
    let weights = workspace.weights("out");
    assert!(weights.keys().any(|name| name == "denoisers.digits.heads.label.first.weight"));
    // The codec of a class sets its statistics.
    assert_eq!(Vec::<f32>::try_from(&weights["streams.label.deviation"]).unwrap(), [1.0; 10]);

    let images = (0..20).map(|row| Some(OwnedCell::Bytes(digit_png(row % 10, row as u32)))).collect();
    let data = workspace.column("data", "image", Feature::Image, images).display().to_string();
    let lines = "inputs: {image: {modality: image}}\nnodes:\n  \
        shown: {encode: image/autoencoder, from: image, stream: image}\n  \
        read: {diffuse: [label], observe: {image: shown}, given: noised, sampler: {kind: ddim, steps: 1, start_at: 0.02}}\n  \
        digit: {decode: label/one-hot, from: read.label}\noutputs: {label: digit}\n";
    workspace.run("read", lines, &["--input", &data]);
    let labels = workspace.cells("read", "label");
    let right = labels.iter().enumerate().filter(|(row, label)| **label == OwnedCell::I64(*row as i64 % 10)).count();
    // Chance is 2.
    assert!(right >= 9, "the head predicts {right} of 20 digits");

    let evaluate = |name: &str, text: &str| -> Findings {
        let file = format!("{name}.yaml");
        let scorers = workspace.path("out/scorers.safetensors").display().to_string();
        workspace.write(&file, &text.replace("SCORERS", &scorers));
        workspace.evaluate(&file, name)
    };
    let findings = evaluate("whole", EVALUATION);
    assert!(findings.judges["image"].accuracy > 0.8, "words are classes of the judge");
    for (task, has_truth) in [("joint", false), ("restore", true), ("label-to-image", true), ("edit", true)] {
        let figures = &findings.tasks[task].variants["tiny"].streams["image"];
        assert_eq!(figures.truth.is_some(), has_truth, "{task}");
    }
    // A later start, here from the true rows, keeps more of them.
    let edited = |findings: &Findings| findings.tasks["edit"].variants["tiny"].streams["image"].truth.clone().unwrap();
    let only = EVALUATION.split("  joint:").next().unwrap().replace("steps: 4", "steps: 4, start_at: 0.3");
    let task = "  edit: {start: {image: image}, generate: [image], absent: [label]}\n";
    let whole = edited(&findings);
    let late = edited(&evaluate("late", &format!("{only}{task}")));
    // The judge has two layers, and its features differ by 2 at most.
    let look = whole.perceptual.as_ref().unwrap();
    let late_look = late.perceptual.as_ref().unwrap();
    for (near, most, late) in [(&whole.features, 2.0, &late.features), (look, 4.0, late_look)] {
        assert!((0.0..=most).contains(&near.distance.mean) && (0.0..=1.0).contains(&near.nearest.mean), "{near:?}");
        assert!(late.distance.mean < near.distance.mean, "{late:?} {near:?}");
    }
    workspace.write("no.yaml", &EVALUATION.replace("steps: 4", "steps: 4, start_at: 0.3"));
    let refused = workspace.call("eval", "no.yaml", "no", &[]);
    assert_eq!(refused.code, 2, "{}", refused.out);
    weights_are_taken_from_other_trainings(&workspace);
}

const MEANING: &str = "  meaning: {codec: image/gray, module: image/classifier, latent: [64]}\n";

const TAKEN: &str = r#"
anyflow: 1
name: taken
model: taken-model.yaml
seed: 4
sources: {digits: train}
take:
  streams.image: {from: out/model.safetensors}
  streams.seen: {from: out/model.safetensors, part: streams.image}
  streams.meaning.module: {from: out/scorers.safetensors, part: scorers.image}
data: {rows: {columns: {image: digits.image, seen: digits.image, label: digits.label, meaning: digits.image}}}
stages:
  - {name: statistics, objective: {kind: statistics, streams: [seen, meaning]}, data: rows}
  - {name: short, train: digits, objective: {kind: denoise, times: {kind: shared-all}}, data: rows, steps: 20, batch: 64}
  - {name: long, train: digits, objective: {kind: denoise, times: {kind: shared-all}}, data: rows, steps: 300, batch: 64, optimizer: {kind: adamw, lr: 3.0e-3}}
"#;

/// The masked image goes through the encoder of whole ones, and features of a classifier are an auxiliary stream; variants
/// have their own weights and codecs.
fn weights_are_taken_from_other_trainings(workspace: &Workspace) {
    let model = MODEL
        .replace("CHECKPOINT", &workspace.path("taken/model.safetensors").display().to_string())
        .replace("seen: {weight: 1.0, law: bump, dropout: 0.5}", "seen: {weight: 1.0}, meaning: {weight: 1.0}")
        .replace("denoisers:", &format!("{MEANING}denoisers:"))
        .replace("  label: {reads", "  meaning: {reads: digits.last, loss: mse, weight: 1.0}\n  label: {reads");
    workspace.write("taken-model.yaml", &model);
    workspace.write("taken.yaml", TAKEN);
    workspace.call("train", "taken.yaml", "taken", &[]).ok();
    let first = workspace.weights("out");
    let scorers = workspace.tensors("out/scorers.safetensors");
    for (name, value) in &workspace.weights("taken") {
        let same = match name.strip_prefix("streams.meaning.module.") {
            Some(rest) => &scorers[&format!("scorers.image.{rest}")],
            None if name.contains(".module.") => &first[&name.replace("streams.seen", "streams.image")],
            None => continue,
        };
        assert_eq!(value, same, "{name}");
    }
    let head = EVALUATION
        .split("tasks:")
        .next()
        .unwrap()
        .replace("SCORERS", "out/scorers.safetensors")
        .replace("model: model.yaml", "model: taken-model.yaml")
        .replace("label: digits.label}", "label: digits.label, meaning: digits.image}");
    let tasks = "tasks:\n  restore: {observe: [seen], generate: [image], absent: [label, meaning]}\n  \
        represent: {score: meaning, observe: [image], samples: 1}\nvariants:\n  long: {}\n  \
        short: {weights: taken/stages/01-short.safetensors}\n  \
        hidden: {codecs: {seen: {use: image/masked, least: 1, most: 1}}}\n";
    workspace.write("taken-eval.yaml", &format!("{head}{tasks}"));
    let findings = workspace.evaluate("taken-eval.yaml", "taken-eval");
    let restored = |variant: &str| {
        findings.tasks["restore"].variants[variant].streams["image"].truth.as_ref().unwrap().features.distance.mean
    };
    assert!(restored("hidden") > restored("long"), "{} {}", restored("hidden"), restored("long"));
    assert_ne!(restored("short"), restored("long"));
    let recall = &findings.tasks["represent"].variants["long"].recall;
    // Of 30 rows, chance is 10.
    assert!(recall["recall@10"].mean > 0.45, "{recall:?}");
    let own = findings.variants["long"].reconstructed["image"].truth.as_ref().unwrap();
    assert!(own.features.distance.mean > 0.0 && own.features.distance.mean < 2.0, "features of length 1: {own:?}");
}
