//! Training on small synthetic data: it learns, it resumes bit for bit, and its weights run.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyflow_runtime::checkpoint::{self, Metadata, Tensors};
use anyflow_tests::{IMAGE_LABEL_MODEL, Workspace, files_below, python, target};
use serde_json::Value;

const TRAINING: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
seed: 5
sources: {digits: train}
data:
  images: {columns: {image: digits.image}}
  pairs: {columns: {image: digits.image, label: digits.label}}
stages:
  - {name: autoencoder, train: image, objective: {kind: reconstruct, loss: l1-l2}, data: images, steps: 200, batch: 16, optimizer: {kind: adamw, lr: 2.0e-3}}
  - {name: statistics, objective: {kind: statistics}, data: pairs}
  - {name: diffusion, train: joint, objective: {kind: denoise, times: {kind: subset-shared}}, data: pairs, steps: 1200, batch: 32, ema: 0.99, optimizer: {kind: adamw, lr: 2.0e-3, warmup: 20, decay: cosine}}
"#;

fn workspace() -> Workspace {
    Workspace::new().digits(200).model(IMAGE_LABEL_MODEL).training(TRAINING)
}

fn train(workspace: &Workspace, output: &str) -> Value {
    workspace.train(output).ok().json()
}

fn metrics(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn training_learns_and_its_weights_run() {
    let workspace = workspace();
    let result = train(&workspace, "out");
    assert_eq!(result["stages"].as_array().unwrap().len(), 3);
    let losses = |stage: &str| -> Vec<f64> {
        let lines = metrics(&workspace.path("out")).into_iter().filter(|line| line["stage"] == stage);
        lines.map(|line| line["loss"].as_f64().unwrap()).collect()
    };
    let images = losses("autoencoder");
    let noise = losses("diffusion");
    assert!(images[images.len() - 1] < 0.6 * images[0], "{images:?}");
    assert!(noise[noise.len() - 1] < 0.8 * noise[0], "{noise:?}");

    let lines = "nodes:\n  joint: {diffuse: [image, label]}\n  drawn: {decode: image/autoencoder, from: joint.image}\n  \
                 digit: {decode: label/one-hot, from: joint.label}\noutputs: {image: drawn, label: digit}\n";
    let result = workspace.run("rows", lines, &["--rows", "20"]);
    assert_eq!((result["rows"].as_u64(), result["failed"].as_u64()), (Some(20), Some(0)));
}

/// Kills front and engine as soon as the diffusion stage has saved a state.
fn train_and_kill(workspace: &Workspace, output: &str) {
    let output = workspace.path(output);
    let mut front = Command::new(target().join("anyflow"))
        .args(["train".as_ref(), workspace.path("train.yaml").as_os_str(), "--output".as_ref(), output.as_os_str()])
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
    // The engine is a child of the front; a power cut kills both at once.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", front.id())).unwrap();
    for pid in children.split_whitespace().map(str::to_string).chain([front.id().to_string()]) {
        Command::new("kill").args(["-9", &pid]).status().unwrap();
    }
    front.wait().unwrap();
}

#[test]
fn a_killed_training_resumes_bit_for_bit() {
    let workspace = workspace();
    train(&workspace, "whole");
    train_and_kill(&workspace, "cut");
    let stages = workspace.path("cut/stages");
    assert!(stages.join("00-autoencoder.safetensors").exists() && !stages.join("02-diffusion.safetensors").exists());
    train(&workspace, "cut");
    let weights = |name: &str| std::fs::read(workspace.path(name).join("model.safetensors")).unwrap();
    assert!(weights("whole") == weights("cut"), "the resumed weights differ");
    let lines = |name: &str| -> Vec<Value> {
        let mut lines = metrics(&workspace.path(name));
        lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("seconds")));
        lines
    };
    let whole = lines("whole");
    assert_eq!(whole, lines("cut"));
    // 1200 steps of diffusion and 200 of the autoencoder, one line for 50.
    assert_eq!(whole.len(), 28);
    for key in ["loss", "gradient_norm", "lr", "image", "label"] {
        assert!(whole[27][key].is_f64(), "{key}");
    }
}

/// The training with few steps.
fn quick() -> Workspace {
    let workspace = workspace();
    workspace.rewrite("train.yaml", |yaml| yaml.replace("steps: 200", "steps: 60").replace("steps: 1200", "steps: 60"));
    workspace
}

fn write(path: &Path, tensors: &Tensors, metadata: Metadata) {
    let mut file = std::fs::File::create(path).unwrap();
    checkpoint::write(&mut file, path, tensors, metadata, checkpoint::WeightType::F32).unwrap();
}

fn caches(folder: &Path) -> Vec<PathBuf> {
    files_below(&folder.join("cache"), "arrow")
}

#[test]
fn micro_batches_train_like_the_whole_batch() {
    let workspace = quick().trained();
    workspace.rewrite("train.yaml", |yaml| {
        yaml.replace("batch: 16", "batch: 16, micro_batch: 6").replace("batch: 32", "batch: 32, micro_batch: 8")
    });
    train(&workspace, "parts");
    let whole = metrics(&workspace.path("out"));
    let parts = metrics(&workspace.path("parts"));
    assert_eq!(whole.len(), parts.len());
    for (whole, parts) in whole.iter().zip(&parts) {
        for key in ["loss", "gradient_norm"] {
            let ratio = parts[key].as_f64().unwrap() / whole[key].as_f64().unwrap();
            assert!((ratio - 1.0).abs() < 1e-3, "{key}: f32, after {} steps: {ratio}", whole["step"]);
        }
    }
}

/// The training from its diffusion stage on.
fn only_diffusion(yaml: String, start: &str) -> String {
    let (head, stages) = yaml.split_once("stages:\n").unwrap();
    let head = head.replace("  images: {columns: {image: digits.image}}\n", "");
    let diffusion = &stages[stages.find("  - {name: diffusion").unwrap()..];
    format!("{head}start: {start}\nstages:\n{diffusion}")
}

#[test]
fn a_denoiser_trains_on_streams_of_another_training() {
    let workspace = quick().trained();
    let start = workspace.weights("out");
    // Only the streams: the denoiser is initialized.
    let streams: Tensors = start
        .iter()
        .filter(|(name, _)| name.starts_with("streams."))
        .map(|(n, t)| (n.clone(), t.shallow_clone()))
        .collect();
    let write = |name: &str, tensors: &Tensors| write(&workspace.path(name), tensors, Metadata::new());
    write("streams.safetensors", &streams);
    workspace.rewrite("train.yaml", |yaml| only_diffusion(yaml, "streams.safetensors"));
    let result = train(&workspace, "more");
    assert_eq!(result["stages"].as_array().unwrap().len(), 1);
    let trained = workspace.weights("more");
    assert_eq!(trained.len(), start.len());
    for (name, tensor) in &trained {
        assert_eq!(*tensor == start[name], name.starts_with("streams.") || start[name].numel() == 0, "{name}");
    }
    // Other start weights make another training. A checkpoint of another model is refused.
    write("streams.safetensors", &start);
    let again = workspace.train("more");
    assert!(again.code == 2 && again.out.contains("weights start"), "{again:?}");
    let mut strange = Tensors::new();
    strange.insert("streams.sound.mean".into(), start["streams.image.mean"].shallow_clone());
    write("streams.safetensors", &strange);
    let refused = workspace.train("strange");
    assert!(refused.code == 2 && refused.out.contains("streams.sound.mean is left over"), "{refused:?}");
    std::fs::remove_file(workspace.path("streams.safetensors")).unwrap();
    let missing = workspace.train("missing");
    assert!(missing.code == 2 && missing.out.contains("`start` of a training"), "{missing:?}");
}

#[test]
fn a_stage_checkpoint_has_the_statistics_that_its_denoiser_trained_with() {
    let workspace = quick();
    workspace.rewrite("train.yaml", |yaml| yaml.replace("{kind: statistics}", "{kind: statistics, per: stream}"));
    train(&workspace, "out");
    let whole = workspace.weights("out");
    let stage = workspace.tensors("out/stages/02-diffusion.safetensors");
    for stream in ["image", "label"] {
        for which in ["mean", "deviation"] {
            let name = format!("streams.{stream}.{which}");
            assert_eq!(stage[&name], whole[&name], "{name}");
            let least = stage[&name].min().double_value(&[]);
            let most = stage[&name].max().double_value(&[]);
            assert_eq!(least, most, "{name}: one number for a stream");
        }
    }
    assert_ne!(whole["streams.image.mean"].double_value(&[0]), 0.0);
    assert_ne!(whole["streams.image.deviation"].double_value(&[0]), 1.0);
}

#[test]
fn a_class_beyond_those_of_the_scorer_is_refused() {
    let workspace = workspace();
    workspace.rewrite("train.yaml", |_| {
        let head = TRAINING.split_once("data:\n").unwrap().0;
        let scorer = "{stream: image, score: {use: image/classifier, classes: 7}}";
        let stage = "{name: judge, train: image, objective: {kind: classify}, data: all, steps: 10, batch: 8, optimizer: {kind: adamw, lr: 1.0e-3}}";
        format!(
            "{head}data:\n  all: {{columns: {{image: digits.image}}, class: digits.label}}\nscorers:\n  image: {scorer}\nstages:\n  - {stage}\n"
        )
    });
    let refused = workspace.train("out");
    assert!(refused.code == 2 && refused.out.contains("scorer image has 7 classes"), "{refused:?}");
}

#[test]
fn cached_latents_are_reused_until_the_encoder_changes() {
    let workspace = quick().trained();
    let out = workspace.path("out");
    let files = caches(&out);
    assert_eq!(files.len(), 1, "a label has no encoder: {files:?}");
    let made = |file: &PathBuf| (std::fs::metadata(file).unwrap().modified().unwrap(), std::fs::read(file).unwrap());
    let (time, whole) = made(&files[0]);
    let diffusion_again = || {
        std::fs::remove_file(out.join("stages/02-diffusion.safetensors")).unwrap();
        let before = std::fs::read(out.join("model.safetensors")).unwrap();
        train(&workspace, "out");
        assert!(before == std::fs::read(out.join("model.safetensors")).unwrap());
    };
    diffusion_again();
    assert_eq!(made(&files[0]), (time, whole.clone()), "the cache was read, not written");
    // A truncated file is written again with the same content.
    std::fs::write(&files[0], &whole[..whole.len() / 2]).unwrap();
    diffusion_again();
    assert!(made(&files[0]).1 == whole);
    // With other encoder weights, a new file replaces the old one.
    std::fs::remove_file(out.join("stages/01-statistics.safetensors")).unwrap();
    let stage = out.join("stages/00-autoencoder.safetensors");
    let weights = checkpoint::read(&stage).unwrap();
    let _ = weights.tensors[0].shallow_clone().f_mul_scalar_(1.5).unwrap();
    write(&stage, &weights.tensors, weights.metadata);
    std::fs::remove_file(out.join("stages/02-diffusion.safetensors")).unwrap();
    train(&workspace, "out");
    let after = caches(&out);
    assert!(after.len() == 1 && after != files, "{after:?}");
    assert!(made(&after[0]).1 != whole);
}

#[test]
fn pyarrow_reads_cached_latents() {
    let Some(python) = python() else { return };
    let workspace = quick().trained();
    let script = r#"
import sys, math
import pyarrow as pa
table = pa.ipc.open_file(pa.memory_map(sys.argv[1])).read_all()
assert table.num_rows == 200 and table.column_names == ["latent"], table.schema
assert table.schema.field("latent").type == pa.list_(pa.field("item", pa.float32(), False), 6), table.schema
assert table.schema.field("latent").metadata[b"anyflow.shape"] == b"6"
rows = table["latent"].to_pylist()
assert all(math.isfinite(x) for row in rows for x in row) and rows[0] != rows[1]
"#;
    let file = &caches(&workspace.path("out"))[0];
    let output = Command::new(python).args(["-c", script]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The training with another learning rate and number of steps in its last stage.
fn with_rate(rate: &str, steps: u64) -> Workspace {
    let workspace = workspace();
    workspace.rewrite("train.yaml", |yaml| {
        let yaml = yaml.replace("steps: 200", "steps: 1").replace("steps: 1200", &format!("steps: {steps}"));
        yaml.replace(
            "ema: 0.99, optimizer: {kind: adamw, lr: 2.0e-3, warmup: 20",
            &format!("optimizer: {{kind: adamw, lr: {rate}"),
        )
    });
    workspace
}

/// At this rate the weights explode within some tens of steps; at an eighth of it they do not.
#[test]
fn a_diverging_stage_rolls_back_and_halves_the_learning_rate() {
    let workspace = with_rate("2.5e3", 100);
    let result = train(&workspace, "out");
    let rollbacks = result["stages"][2]["result"]["rollbacks"].as_u64().unwrap();
    assert!((1..=3).contains(&rollbacks), "{result}");
    let lines: Vec<Value> =
        metrics(&workspace.path("out")).into_iter().filter(|line| line["stage"] == "diffusion").collect();
    assert_eq!(lines.len(), 2, "steps that were rolled back have no metrics");
    assert!(lines.iter().all(|line| line["loss"].is_f64() && line["gradient_norm"].is_f64()), "{lines:?}");
    let weights = workspace.tensors("out/stages/02-diffusion.safetensors");
    assert!(weights.values().all(|tensor| tensor.isfinite().all().int64_value(&[]) == 1));
    // Equal bits again: draws and rates after a rollback depend only on the number of rollbacks.
    train(&workspace, "again");
    let bytes = |name: &str| std::fs::read(workspace.path(name).join("model.safetensors")).unwrap();
    assert!(bytes("out") == bytes("again"));
}

#[test]
fn a_stage_that_keeps_diverging_fails_with_step_and_remedy() {
    let workspace = with_rate("1.0e30", 100);
    let failed = workspace.train("out");
    assert_eq!(failed.code, 1, "{failed:?}");
    for words in ["stage `diffusion`", "after 3 rollbacks (the last one to step 0)", "lower the learning rate"] {
        assert!(failed.out.contains(words), "{words}: {failed:?}");
    }
    assert!(!workspace.path("out/stages/02-diffusion.safetensors").exists());
}

#[test]
fn the_output_folder_of_another_training_is_refused() {
    let workspace = workspace();
    let short = TRAINING.replace("steps: 200", "steps: 1").replace("steps: 1200", "steps: 1");
    workspace.write("train.yaml", &short);
    train(&workspace, "out");
    workspace.write("train.yaml", &short.replace("seed: 5", "seed: 6"));
    let again = workspace.train("out");
    assert_eq!(again.code, 2, "{}", again.out);
    assert!(again.out.contains("plan.seed: 6 now, 5 then"), "{}", again.out);
}
