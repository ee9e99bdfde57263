//! Training through the programs, on small data made here: it learns, it resumes bit for bit, and what it writes runs.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyflow_runtime::checkpoint::{self, Metadata, Tensors};
use anyflow_tests::{Output, anyflow, files_below, python, target, write_digits};
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
    try_train(folder, output).ok().json()
}

fn try_train(folder: &Path, output: &str) -> Output {
    let (yaml, output) = (folder.join("train.yaml"), folder.join(output));
    let arguments = ["train".as_ref(), yaml.as_os_str(), "--output".as_ref(), output.as_os_str()];
    anyflow(arguments.into_iter().chain(["--threads", "1", "--json"].map(AsRef::as_ref)))
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
    let lines = |name: &str| -> Vec<Value> {
        let mut lines = metrics(&folder.path().join(name));
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

/// A training of few steps in a folder of its own.
fn quick() -> tempfile::TempDir {
    let folder = workspace();
    rewrite(&folder, |yaml| yaml.replace("steps: 200", "steps: 60").replace("steps: 1200", "steps: 60"));
    folder
}

fn rewrite(folder: &tempfile::TempDir, change: impl Fn(String) -> String) {
    let path = folder.path().join("train.yaml");
    std::fs::write(&path, change(std::fs::read_to_string(&path).unwrap())).unwrap();
}

fn read(path: PathBuf) -> Tensors {
    checkpoint::read(&path).unwrap().tensors
}

fn write(path: &Path, tensors: &Tensors, metadata: Metadata) {
    let mut file = std::fs::File::create(path).unwrap();
    checkpoint::write(&mut file, path, tensors, metadata, checkpoint::Precision::F32).unwrap();
}

fn caches(folder: &Path) -> Vec<PathBuf> {
    files_below(&folder.join("cache"), "arrow")
}

#[test]
fn micro_batches_train_as_the_whole_batch_does() {
    let folder = quick();
    train(folder.path(), "whole");
    rewrite(&folder, |yaml| {
        yaml.replace("batch: 16", "batch: 16, micro_batch: 6").replace("batch: 32", "batch: 32, micro_batch: 8")
    });
    train(folder.path(), "parts");
    let (whole, parts) = (metrics(&folder.path().join("whole")), metrics(&folder.path().join("parts")));
    assert_eq!(whole.len(), parts.len());
    for (whole, parts) in whole.iter().zip(&parts) {
        for key in ["loss", "gradient_norm"] {
            let ratio = parts[key].as_f64().unwrap() / whole[key].as_f64().unwrap();
            assert!((ratio - 1.0).abs() < 1e-3, "{key}: f32, after {} steps: {ratio}", whole["step"]);
        }
    }
}

/// The stages of the tiny training from the diffusion on.
fn only_diffusion(yaml: String, start: &str) -> String {
    let (head, stages) = yaml.split_once("stages:\n").unwrap();
    let head = head.replace("  pictures: {columns: {image: digits.image}}\n", "");
    let diffusion = &stages[stages.find("  - {name: diffusion").unwrap()..];
    format!("{head}start: {start}\nstages:\n{diffusion}")
}

#[test]
fn a_denoiser_is_trained_on_streams_that_are_trained_already() {
    let folder = quick();
    train(folder.path(), "out");
    let start = read(folder.path().join("out/model.safetensors"));
    // The streams alone: the denoiser starts fresh.
    let streams: Tensors = start
        .iter()
        .filter(|(name, _)| name.starts_with("streams."))
        .map(|(n, t)| (n.clone(), t.shallow_clone()))
        .collect();
    let write = |name: &str, tensors: &Tensors| write(&folder.path().join(name), tensors, Metadata::new());
    write("streams.safetensors", &streams);
    rewrite(&folder, |yaml| only_diffusion(yaml, "streams.safetensors"));
    let result = train(folder.path(), "more");
    assert_eq!(result["stages"].as_array().unwrap().len(), 1);
    let trained = read(folder.path().join("more/model.safetensors"));
    assert_eq!(trained.len(), start.len());
    for (name, tensor) in &trained {
        assert_eq!(*tensor == start[name], name.starts_with("streams.") || start[name].numel() == 0, "{name}");
    }
    // Other weights to start from are another training; so is a checkpoint of another model.
    write("streams.safetensors", &start);
    let again = try_train(folder.path(), "more");
    assert!(again.code == 2 && again.out.contains("weights start"), "{again:?}");
    let mut strange = Tensors::new();
    strange.insert("streams.sound.mean".into(), start["streams.image.mean"].shallow_clone());
    write("streams.safetensors", &strange);
    let refused = try_train(folder.path(), "strange");
    assert!(refused.code == 2 && refused.out.contains("streams.sound.mean is left over"), "{refused:?}");
    std::fs::remove_file(folder.path().join("streams.safetensors")).unwrap();
    let missing = try_train(folder.path(), "missing");
    assert!(missing.code == 2 && missing.out.contains("`start` of a training"), "{missing:?}");
}

#[test]
fn the_file_of_a_denoiser_has_the_statistics_that_it_was_trained_under() {
    let folder = quick();
    rewrite(&folder, |yaml| yaml.replace("{kind: statistics}", "{kind: statistics, per: stream}"));
    train(folder.path(), "out");
    let whole = read(folder.path().join("out/model.safetensors"));
    let stage = read(folder.path().join("out/stages/02-diffusion.safetensors"));
    for stream in ["image", "label"] {
        for which in ["mean", "deviation"] {
            let name = format!("streams.{stream}.{which}");
            assert_eq!(stage[&name], whole[&name], "{name}");
            let (least, most) = (stage[&name].min().double_value(&[]), stage[&name].max().double_value(&[]));
            assert_eq!(least, most, "{name}: one number for a stream");
        }
    }
    assert_ne!(whole["streams.image.mean"].double_value(&[0]), 0.0);
    assert_ne!(whole["streams.image.deviation"].double_value(&[0]), 1.0);
}

#[test]
fn a_class_that_a_scorer_does_not_have_is_refused_with_its_row() {
    let folder = workspace();
    rewrite(&folder, |_| {
        let head = TRAINING.split_once("data:\n").unwrap().0;
        let scorer = "{stream: image, score: {use: image/classifier, classes: 7}}";
        let stage = "{name: judge, train: image, objective: {kind: classify}, data: all, steps: 10, batch: 8, optimizer: {kind: adamw, lr: 1.0e-3}}";
        format!(
            "{head}data:\n  all: {{columns: {{image: digits.image}}, class: digits.label}}\nscorers:\n  image: {scorer}\nstages:\n  - {stage}\n"
        )
    });
    let refused = try_train(folder.path(), "out");
    assert!(refused.code == 2 && refused.out.contains("scorer image tells 7 classes"), "{refused:?}");
}

#[test]
fn latents_are_encoded_once_and_again_when_something_changed() {
    let folder = quick();
    train(folder.path(), "out");
    let out = folder.path().join("out");
    let files = caches(&out);
    assert_eq!(files.len(), 1, "a label has no encoder: {files:?}");
    let made = |file: &PathBuf| (std::fs::metadata(file).unwrap().modified().unwrap(), std::fs::read(file).unwrap());
    let (time, whole) = made(&files[0]);
    let diffusion_again = || {
        std::fs::remove_file(out.join("stages/02-diffusion.safetensors")).unwrap();
        let before = std::fs::read(out.join("model.safetensors")).unwrap();
        train(folder.path(), "out");
        assert!(before == std::fs::read(out.join("model.safetensors")).unwrap());
    };
    diffusion_again();
    assert_eq!(made(&files[0]), (time, whole.clone()), "it was read, not made");
    // A file that lost its end is made again, the same.
    std::fs::write(&files[0], &whole[..whole.len() / 2]).unwrap();
    diffusion_again();
    assert!(made(&files[0]).1 == whole);
    // Other weights of the encoder miss, and the old file goes.
    std::fs::remove_file(out.join("stages/01-statistics.safetensors")).unwrap();
    let stage = out.join("stages/00-autoencoder.safetensors");
    let weights = checkpoint::read(&stage).unwrap();
    let _ = weights.tensors[0].shallow_clone().f_mul_scalar_(1.5).unwrap();
    write(&stage, &weights.tensors, weights.metadata);
    std::fs::remove_file(out.join("stages/02-diffusion.safetensors")).unwrap();
    train(folder.path(), "out");
    let after = caches(&out);
    assert!(after.len() == 1 && after != files, "{after:?}");
    assert!(made(&after[0]).1 != whole);
}

#[test]
fn pyarrow_reads_cached_latents() {
    let Some(python) = python() else { return };
    let folder = quick();
    train(folder.path(), "out");
    let script = r#"
import sys, math
import pyarrow as pa
table = pa.ipc.open_file(pa.memory_map(sys.argv[1])).read_all()
assert table.num_rows == 200 and table.column_names == ["latent"], table.schema
assert table.schema.field("latent").type == pa.list_(pa.field("item", pa.float32(), False), 6), table.schema
assert table.schema.metadata[b"anyflow.shape"] == b"6"
rows = table["latent"].to_pylist()
assert all(math.isfinite(x) for row in rows for x in row) and rows[0] != rows[1]
"#;
    let file = &caches(&folder.path().join("out"))[0];
    let output = Command::new(python).args(["-c", script]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The tiny training with another learning rate in its last stage, which is `steps` long.
fn with_rate(rate: &str, steps: u64) -> tempfile::TempDir {
    let folder = workspace();
    rewrite(&folder, |yaml| {
        let yaml = yaml.replace("steps: 200", "steps: 1").replace("steps: 1200", &format!("steps: {steps}"));
        yaml.replace(
            "ema: 0.99, optimizer: {kind: adamw, lr: 2.0e-3, warmup: 20",
            &format!("optimizer: {{kind: adamw, lr: {rate}"),
        )
    });
    folder
}

/// At this rate the weights explode within some tens of steps; at an eighth of it they do not.
#[test]
fn a_stage_that_diverges_goes_back_and_goes_on_with_half_the_rate() {
    let folder = with_rate("2.5e3", 100);
    let result = train(folder.path(), "out");
    let rollbacks = result["stages"][2]["result"]["rollbacks"].as_u64().unwrap();
    assert!((1..=3).contains(&rollbacks), "{result}");
    let lines: Vec<Value> =
        metrics(&folder.path().join("out")).into_iter().filter(|line| line["stage"] == "diffusion").collect();
    assert_eq!(lines.len(), 2, "steps that were taken back leave no line");
    assert!(lines.iter().all(|line| line["loss"].is_f64() && line["gradient_norm"].is_f64()), "{lines:?}");
    let weights = read(folder.path().join("out/stages/02-diffusion.safetensors"));
    assert!(weights.values().all(|tensor| tensor.isfinite().all().int64_value(&[]) == 1));
    // The same again to the bit: draws and rates after a way back follow from how often there was one.
    train(folder.path(), "again");
    let bytes = |name: &str| std::fs::read(folder.path().join(name).join("model.safetensors")).unwrap();
    assert!(bytes("out") == bytes("again"));
}

#[test]
fn a_stage_that_keeps_diverging_fails_with_the_step_and_the_way_out() {
    let folder = with_rate("1.0e30", 100);
    let failed = try_train(folder.path(), "out");
    assert_eq!(failed.code, 1, "{failed:?}");
    for words in ["stage `diffusion`", "after 3 returns to step 0", "lower the learning rate"] {
        assert!(failed.out.contains(words), "{words}: {failed:?}");
    }
    assert!(!folder.path().join("out/stages/02-diffusion.safetensors").exists());
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
    assert!(again.err.contains("plan.seed: 6 now, 5 then"), "{}", again.err);
}
