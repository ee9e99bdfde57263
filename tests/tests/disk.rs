//! Training from disk: rows and latents are mapped files, which a killed training continues from; rehearsals.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsStr;

use anyflow_tests::{IMAGE_LABEL_MODEL, Workspace, anyflow_with, files_below};
use serde_json::Value;

const TRAINING: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
seed: 5
sources: {digits: train}
data:
  rows: {columns: {image: digits.image, label: digits.label}}
stages:
  - {name: autoencoder, train: image, objective: {kind: reconstruct, loss: l1-l2}, data: rows, steps: 60, batch: 16}
  - {name: statistics, objective: {kind: statistics}, data: rows}
  - {name: diffusion, train: joint, objective: {kind: denoise, times: {kind: subset-shared}}, data: rows, steps: 100, batch: 32}
"#;

fn workspace() -> Workspace {
    Workspace::new().digits(200).model(IMAGE_LABEL_MODEL).training(TRAINING)
}

fn weights(workspace: &Workspace, output: &str) -> Vec<u8> {
    std::fs::read(workspace.path(output).join("model.safetensors")).unwrap()
}

#[test]
fn a_training_killed_anywhere_ends_with_the_same_weights_whatever_the_number_of_readers() {
    let workspace = workspace();
    workspace.call("train", "train.yaml", "whole", &["--readers", "1"]).ok();
    let whole = weights(&workspace, "whole");
    workspace.call("train", "train.yaml", "four", &["--readers", "4"]).ok();
    assert!(whole == weights(&workspace, "four"), "four readers");
    let mut left = Vec::new();
    // Before, while and after the rows are written; before and after the latents are.
    for point in (0..6).flat_map(|count| ["file-written", "file-published"].map(|point| format!("{point}:{count}"))) {
        let output = workspace.path(&point.replace(':', "-"));
        let train = |variables: &[(&str, &OsStr)], readers: &str| {
            let file = workspace.path("train.yaml");
            let named = ["train".as_ref(), file.as_os_str(), "--output".as_ref(), output.as_os_str()];
            let options = ["--threads", "1", "--readers", readers, "--json"].map(OsStr::new);
            anyflow_with(variables, named.into_iter().chain(options))
        };
        let killed = train(&[("ANYFLOW_FAILPOINT", OsStr::new(&point))], "3");
        assert_ne!(killed.code, 0, "{point}: {killed:?}");
        let cache = output.join("cache");
        left.push(if cache.exists() { files_below(&cache, "arrow").len() } else { 0 });
        train(&[], "2").ok();
        assert!(whole == std::fs::read(output.join("model.safetensors")).unwrap(), "{point}");
    }
    // Of the rows and the latents, none, one and both were there.
    assert!(left.is_sorted() && (0..3).all(|files| left.contains(&files)), "{left:?}");
}

#[test]
fn a_finished_training_keeps_latents_and_removes_rows() {
    let workspace = workspace();
    workspace.train("out").ok();
    let files = files_below(&workspace.path("out/cache"), "arrow");
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert!(names.len() == 1 && names[0].starts_with("image."), "{names:?}");
}

#[test]
fn a_rehearsal_reports_its_costs_and_leaves_nothing() {
    let workspace = workspace();
    let files = || {
        let entries = std::fs::read_dir(workspace.path("")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    let result = workspace.call("train", "train.yaml", "out", &["--rehearse", "--steps", "10"]).ok().json();
    assert_eq!(files(), before, "nothing is left");
    let stages = result["stages"].as_array().unwrap();
    assert_eq!(
        stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect::<Vec<_>>(),
        ["autoencoder", "statistics", "diffusion"]
    );
    for (stage, steps) in [(&stages[0], 60.0), (&stages[2], 100.0)] {
        let rate = stage["result"]["steps_per_second"].as_f64().unwrap();
        let seconds = stage["estimated_seconds"].as_f64().unwrap();
        assert!(rate > 1.0 && (seconds * rate / steps - 1.0).abs() < 1e-6, "{stage}");
        assert_eq!(stage["rows"], 200);
    }
    assert_eq!(stages[1]["result"]["steps_per_second"], Value::Null);
    let sum: f64 = stages.iter().map(|stage| stage["estimated_seconds"].as_f64().unwrap()).sum();
    assert!(result["estimated_seconds"].as_f64().unwrap() > sum, "reading and starting take time, too");
    assert!(result["peak_memory_bytes"].as_u64().unwrap() > 50_000_000, "{result}");
    let refused = workspace.call("train", "train.yaml", "out", &["--steps", "10"]);
    assert!(refused.code == 2 && refused.err.contains("--rehearse"), "{refused:?}");
}
