//! Companions through the programs: a label that is added and read off, a masked picture that is added; trained, run,
//! evaluated.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_plan::findings::Findings;
use anyflow_runtime::checkpoint;
use anyflow_tests::{anyflow, digit_png, write_columns, write_digits};

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
  - {name: pictures, train: image, objective: {kind: reconstruct}, data: rows, steps: 300, batch: 32, optimizer: {kind: adamw, lr: 3.0e-3}}
  - {name: masked, train: seen, objective: {kind: reconstruct}, data: rows, steps: 20, batch: 16}
  - {name: statistics, objective: {kind: statistics}, data: rows}
  - {name: digits, train: digits, objective: {kind: denoise, times: {kind: shared-all}}, data: rows, steps: 600, batch: 64, ema: 0.9, optimizer: {kind: adamw, lr: 3.0e-3}}
  - {name: head, train: digits, weights: ["heads.*"], objective: {kind: denoise, denoising: 0, times: {kind: shared-all}}, data: rows, steps: 30, batch: 32}
"#;

const EVALUATION: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
sources: {digits: train}
data: {columns: {image: digits.image, seen: digits.image, label: digits.label}, class: digits.label}
judges: {image: {score: image/classifier, weights: out/scorers.safetensors}, label: {score: label/one-hot}}
sampler: {kind: ddim, steps: 4}
rows: 30
tasks:
  joint: {generate: [image, label]}
  restore: {observe: [seen], generate: [image]}
  label-to-image: {observe: [label], generate: [image]}
  edit: {start: {image: image}, generate: [image], absent: [label]}
"#;

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn command(name: &str, file: &Path, output: &Path, more: &[&str]) -> anyflow_tests::Output {
    let paths = [file.display().to_string(), "--output".into(), output.display().to_string()];
    let more = more.iter().map(ToString::to_string).chain(["--threads".into(), "1".into()]);
    anyflow(std::iter::once(name.to_string()).chain(paths).chain(more))
}

#[test]
fn a_label_is_read_off_and_given_and_a_masked_picture_given() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_digits(&folder.join("train"), 200);
    let out = folder.join("out");
    written(folder, "model.yaml", &MODEL.replace("CHECKPOINT", &out.join("model.safetensors").display().to_string()));
    command("train", &written(folder, "train.yaml", TRAINING), &out, &[]).ok();
    let weights = checkpoint::read(&out.join("model.safetensors")).unwrap().tensors;
    assert!(weights.keys().any(|name| name == "denoisers.digits.heads.label.first.weight"));
    // A class is standardised by its codec.
    assert_eq!(Vec::<f32>::try_from(&weights["streams.label.deviation"]).unwrap(), [1.0; 10]);

    let pictures: Vec<_> = (0..20).map(|row| Some(OwnedCell::Bytes(digit_png(row % 10, row as u32)))).collect();
    write_columns(&folder.join("data"), vec![("image", Feature::Image, pictures)]);
    let pipeline = "anyflow: 1\nname: read\nmodel: model.yaml\ninputs: {picture: {modality: image, column: image}}\n\
        nodes:\n  shown: {encode: image/autoencoder, from: picture, stream: image}\n  \
        read: {diffuse: [label], observe: {image: shown}, given: noised, sampler: {kind: ddim, steps: 1, begin: 0.02}}\n  \
        digit: {decode: label/one-hot, from: read.label}\noutputs: {label: digit}\n";
    let data = folder.join("data").display().to_string();
    command("run", &written(folder, "read.yaml", pipeline), &folder.join("read"), &["--input", &data]).ok();
    let found = Dataset::open(&[folder.join("read")]).unwrap();
    let batch = found.read(Some(&["label"]), 0..20, 64).unwrap().next().unwrap().unwrap();
    let cells = found.cells(&batch, "label").unwrap();
    let right = (0..20)
        .filter(|row| cells.get(*row).unwrap().map(|cell| cell.into_owned()) == Some(OwnedCell::I64(*row as i64 % 10)));
    let right = right.count();
    // By chance it would tell two.
    assert!(right >= 9, "the head tells {right} of 20 digits");

    let evaluate = |name: &str, text: &str| -> Findings {
        let output = folder.join(name);
        let evaluated = command("eval", &written(folder, &format!("{name}.yaml"), text), &output, &["--json"]);
        serde_json::from_value(evaluated.ok().json()).unwrap()
    };
    let findings = evaluate("whole", EVALUATION);
    assert!(findings.judges["image"].accuracy > 0.8, "words were told apart as classes");
    for (task, is_given) in [("joint", false), ("restore", true), ("label-to-image", true), ("edit", true)] {
        let figures = &findings.tasks[task].variants["tiny"].streams["image"];
        assert_eq!(figures.truth.is_some(), is_given, "{task}");
    }
    // What begins late, here from the true rows themselves, keeps more of what it begins from.
    let edited = |findings: &Findings| findings.tasks["edit"].variants["tiny"].streams["image"].truth.clone().unwrap();
    let only = EVALUATION.split("  joint:").next().unwrap().replace("steps: 4", "steps: 4, begin: 0.3");
    let task = "  edit: {start: {image: image}, generate: [image], absent: [label]}\n";
    let (whole, late) = (edited(&findings), edited(&evaluate("late", &format!("{only}{task}"))));
    // The judge has two layers, and what each sees differs by 2 at most.
    let (look, late_look) = (whole.perceptual.as_ref().unwrap(), late.perceptual.as_ref().unwrap());
    for (near, most, late) in [(&whole.features, 2.0, &late.features), (look, 4.0, late_look)] {
        assert!((0.0..=most).contains(&near.distance.mean) && (0.0..=1.0).contains(&near.nearest.mean), "{near:?}");
        assert!(late.distance.mean < near.distance.mean, "{late:?} {near:?}");
    }
    let refused = command(
        "eval",
        &written(folder, "no.yaml", &EVALUATION.replace("steps: 4", "steps: 4, begin: 0.3")),
        &out,
        &[],
    );
    assert_eq!(refused.code, 2, "{}", refused.err);
    taken_from_what_was_trained(folder, &out);
}

const MEANING: &str = "  meaning: {codec: image/gray, module: image/classifier, latent: [64]}\n";

/// The masked picture through the encoder of whole ones, and what a classifier sees as a companion; weights and codecs of
/// variants.
fn taken_from_what_was_trained(folder: &Path, trained: &Path) {
    let (out, from) = (folder.join("taken"), trained.display());
    let model = MODEL
        .replace("CHECKPOINT", &out.join("model.safetensors").display().to_string())
        .replace("seen: {weight: 1.0, law: bump, dropout: 0.5}", "seen: {weight: 1.0}, meaning: {weight: 1.0}")
        .replace("denoisers:", &format!("{MEANING}denoisers:"))
        .replace("  label: {reads", "  meaning: {reads: digits.last, loss: cosine, weight: 1.0}\n  label: {reads");
    written(folder, "taken-model.yaml", &model);
    let training = format!(
        "anyflow: 1\nname: taken\nmodel: taken-model.yaml\nseed: 4\nsources: {{digits: train}}\ntake:\n  \
         streams.image: {{from: {from}/model.safetensors}}\n  \
         streams.seen: {{from: {from}/model.safetensors, part: streams.image}}\n  \
         streams.meaning.module: {{from: {from}/scorers.safetensors, part: scorers.image}}\n\
         data: {{rows: {{columns: {{image: digits.image, seen: digits.image, label: digits.label, meaning: digits.image}}}}}}\n\
         stages:\n  - {{name: statistics, objective: {{kind: statistics, streams: [seen, meaning]}}, data: rows}}\n  \
         - {{name: short, train: digits, objective: {{kind: denoise, times: {{kind: shared-all}}}}, data: rows, steps: 20, batch: 64}}\n  \
         - {{name: long, train: digits, objective: {{kind: denoise, times: {{kind: shared-all}}}}, data: rows, steps: 300, batch: 64, optimizer: {{kind: adamw, lr: 3.0e-3}}}}\n"
    );
    command("train", &written(folder, "taken.yaml", &training), &out, &[]).ok();
    let read = |path: PathBuf| checkpoint::read(&path).unwrap().tensors;
    let (first, then) = (read(trained.join("model.safetensors")), read(out.join("model.safetensors")));
    let scorers = read(trained.join("scorers.safetensors"));
    for (name, value) in &then {
        let same = match name.strip_prefix("streams.meaning.module.") {
            Some(rest) => &scorers[&format!("scorers.image.{rest}")],
            None if name.contains(".module.") => &first[&name.replace("streams.seen", "streams.image")],
            None => continue,
        };
        assert_eq!(value, same, "{name}");
    }
    let evaluation = EVALUATION
        .split("tasks:")
        .next()
        .unwrap()
        .replace("model: model.yaml", "model: taken-model.yaml")
        .replace("label: digits.label}", "label: digits.label, meaning: digits.image}")
        + &format!(
            "tasks:\n  restore: {{observe: [seen], generate: [image], absent: [label, meaning]}}\n  \
             represent: {{score: meaning, observe: [image], draws: 1}}\nvariants:\n  \
             long: {{}}\n  short: {{weights: {}}}\n  hidden: {{codecs: {{seen: {{use: image/masked, least: 1, most: 1}}}}}}\n",
            out.join("stages/01-short.safetensors").display()
        );
    let output = folder.join("taken-eval");
    let evaluated = command("eval", &written(folder, "taken-eval.yaml", &evaluation), &output, &["--json"]);
    let findings: Findings = serde_json::from_value(evaluated.ok().json()).unwrap();
    let restored = |variant: &str| {
        findings.tasks["restore"].variants[variant].streams["image"].truth.as_ref().unwrap().features.distance.mean
    };
    assert!(restored("hidden") > restored("long"), "{} {}", restored("hidden"), restored("long"));
    assert_ne!(restored("short"), restored("long"));
    let recall = &findings.tasks["represent"].variants["long"].recall;
    // Thirty rows: by chance ten of them.
    assert!(recall["recall@10"].mean > 0.45, "{recall:?}");
    let own = findings.variants["long"].reconstructed["image"].truth.as_ref().unwrap();
    assert!(own.features.distance.mean > 0.0 && own.features.distance.mean < 2.0, "of features of length 1: {own:?}");
}
