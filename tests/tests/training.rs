//! Training through the programs, on small data made here: it learns, it resumes bit for bit, and what it writes runs.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyflow_tests::{anyflow, target, write_digits};
use serde_json::Value;

const MODEL: &str = r#"
anyflow: 1
name: tiny
checkpoint: CHECKPOINT
streams:
  image: {codec: image/gray, module: {use: image/autoencoder, hidden: 32}, latent: [6]}
  label: {codec: {use: label/one-hot, classes: 10}, latent: [10]}
denoisers:
  joint: {over: [image, label], network: {kind: residual-mlp, width: 32, blocks: 2}, predict: x0}
"#;

const TRAINING: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
seed: 5
sources: {digits: train}
data:
  pictures: {columns: {image: digits.image}}
  pairs: {columns: {image: digits.image, label: digits.label}}
stages:
  - {name: autoencoder, train: image, objective: {kind: reconstruct, loss: l1-l2}, data: pictures, steps: 200, batch: 16, optimizer: {kind: adamw, lr: 2.0e-3}}
  - {name: statistics, objective: {kind: statistics}, data: pairs}
  - {name: diffusion, train: joint, objective: {kind: denoise, times: {kind: subset-shared}}, data: pairs, steps: 1200, batch: 32, ema: 0.99, optimizer: {kind: adamw, lr: 2.0e-3, warmup: 20, decay: cosine}}
"#;

/// A folder with data, model and training.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_digits(&folder.path().join("train"), 200);
    let model = MODEL.replace("CHECKPOINT", &folder.path().join("out/model.safetensors").display().to_string());
    std::fs::write(folder.path().join("model.yaml"), model).unwrap();
    std::fs::write(folder.path().join("train.yaml"), TRAINING).unwrap();
    folder
}

fn train(folder: &Path, output: &str) -> Value {
    let (yaml, output) = (folder.join("train.yaml"), folder.join(output));
    let arguments = ["train".as_ref(), yaml.as_os_str(), "--output".as_ref(), output.as_os_str()];
    anyflow(arguments.into_iter().chain(["--threads", "1", "--json"].map(AsRef::as_ref))).ok().json()
}

fn metrics(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn training_learns_and_what_it_wrote_runs() {
    let folder = workspace();
    let result = train(folder.path(), "out");
    assert_eq!(result["stages"].as_array().unwrap().len(), 3);
    let losses = |stage: &str| -> Vec<f64> {
        let lines = metrics(&folder.path().join("out")).into_iter().filter(|line| line["stage"] == stage);
        lines.map(|line| line["loss"].as_f64().unwrap()).collect()
    };
    let (pictures, noise) = (losses("autoencoder"), losses("diffusion"));
    assert!(pictures[pictures.len() - 1] < 0.6 * pictures[0], "{pictures:?}");
    assert!(noise[noise.len() - 1] < 0.8 * noise[0], "{noise:?}");

    let pipeline = folder.path().join("pipeline.yaml");
    let yaml = "anyflow: 1\nname: tiny\nmodel: model.yaml\nnodes:\n  joint: {diffuse: [image, label]}\n  \
                picture: {decode: image/autoencoder, from: joint.image}\n  \
                digit: {decode: label/one-hot, from: joint.label}\noutputs: {image: picture, label: digit}\n";
    std::fs::write(&pipeline, yaml).unwrap();
    let output = folder.path().join("rows");
    let arguments = ["run".as_ref(), pipeline.as_os_str(), "--rows".as_ref(), "20".as_ref(), "--output".as_ref()];
    let arguments = arguments.into_iter().chain([output.as_os_str(), "--json".as_ref()]);
    let result = anyflow(arguments).ok().json();
    assert_eq!((result["rows"].as_u64(), result["failed"].as_u64()), (Some(20), Some(0)));
}

/// Kills the command, engine and all, as soon as the diffusion stage has saved a state.
fn train_and_kill(folder: &Path, output: &str) {
    let output = folder.join(output);
    let mut front = Command::new(target().join("anyflow"))
        .args(["train".as_ref(), folder.join("train.yaml").as_os_str(), "--output".as_ref(), output.as_os_str()])
        .args(["--threads", "1", "--json"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let state = output.join("stages/02-diffusion.state");
    let started = Instant::now();
    while !state.exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "no state was saved");
        assert!(front.try_wait().unwrap().is_none(), "the training ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    // The engine is the front's child; killing both at once is what a power cut does.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", front.id())).unwrap();
    for pid in children.split_whitespace().map(str::to_string).chain([front.id().to_string()]) {
        Command::new("kill").args(["-9", &pid]).status().unwrap();
    }
    front.wait().unwrap();
}

#[test]
fn a_killed_training_resumes_bit_for_bit() {
    let folder = workspace();
    train(folder.path(), "whole");
    train_and_kill(folder.path(), "cut");
    let stages = folder.path().join("cut/stages");
    assert!(stages.join("00-autoencoder.safetensors").exists() && !stages.join("02-diffusion.safetensors").exists());
    train(folder.path(), "cut");
    let weights = |name: &str| std::fs::read(folder.path().join(name).join("model.safetensors")).unwrap();
    assert!(weights("whole") == weights("cut"), "the resumed weights differ");
    let lines = |name: &str| -> Vec<(u64, f64)> {
        let lines = metrics(&folder.path().join(name)).into_iter().filter(|line| line["stage"] == "diffusion");
        lines.map(|line| (line["step"].as_u64().unwrap(), line["loss"].as_f64().unwrap())).collect()
    };
    assert_eq!(lines("whole"), lines("cut"));
}

#[test]
fn a_folder_of_another_training_is_refused() {
    let folder = workspace();
    let short = TRAINING.replace("steps: 200", "steps: 1").replace("steps: 1200", "steps: 1");
    std::fs::write(folder.path().join("train.yaml"), &short).unwrap();
    train(folder.path(), "out");
    std::fs::write(folder.path().join("train.yaml"), short.replace("seed: 5", "seed: 6")).unwrap();
    let yaml = folder.path().join("train.yaml");
    let output = folder.path().join("out");
    let again = anyflow(["train".as_ref(), yaml.as_os_str(), "--output".as_ref(), output.as_os_str()]);
    assert_eq!(again.code, 2, "{}", again.err);
    assert!(again.err.contains("another job"), "{}", again.err);
}
