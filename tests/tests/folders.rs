//! Output folders have one writer and one kind of job. Files of other jobs or of killed processes are not trusted.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyflow_tests::{Numbers, anyflow};
use serde_json::Value;

/// A generous limit, reached only by failing tests.
const PATIENCE: Duration = Duration::from_secs(180);

/// The project with a diffusion stage of this many steps. A state is saved every 500 steps.
fn with_steps(steps: u64) -> Numbers {
    let numbers = Numbers::new();
    numbers.edit("train.yaml", "steps: 100", &format!("steps: {steps}"));
    numbers
}

/// Flips a bit in the middle of the last tensor of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = bytes.len() - 2;
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

fn model(numbers: &Numbers, output: &str) -> Vec<u8> {
    std::fs::read(numbers.path(output).join("model.safetensors")).unwrap()
}

fn metrics(numbers: &Numbers, output: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(numbers.path(output).join("metrics.jsonl")).unwrap();
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e} in {line:?}"));
    let mut lines: Vec<Value> = text.lines().map(parse).collect();
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("seconds")));
    lines
}

/// Trains into `cut` and dies after publishing this number of files.
fn train_and_die(numbers: &Numbers, published: u32) {
    let point = ("ANYFLOW_FAILPOINT", format!("file-published:{}", published - 1).into());
    assert_ne!(numbers.train("cut", &[point]).code, 0);
}

const STATE: &str = "cut/stages/01-diffusion.state";
const OTHER_STATE: &str = "cut/stages/01-diffusion.other.state";

#[test]
fn a_damaged_state_resumes_from_the_one_before() {
    let numbers = with_steps(2000);
    numbers.train("whole", &[]).ok();
    // Record, order, rows, latents, statistics, and the states at 500, 1000 and 1500.
    train_and_die(&numbers, 8);
    assert!(numbers.path(STATE).exists() && numbers.path(OTHER_STATE).exists());
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("a flipped bit", flip),
        ("cut off", |path| std::fs::write(path, &std::fs::read(path).unwrap()[..900]).unwrap()),
        ("empty", |path| std::fs::write(path, "").unwrap()),
        ("gone", |path| std::fs::remove_file(path).unwrap()),
        ("of another training", |path| {
            let file = anyflow_runtime::checkpoint::read(path).unwrap();
            let mut metadata = file.metadata;
            metadata.insert("anyflow.training".into(), "0".repeat(64));
            let precision = anyflow_runtime::checkpoint::WeightType::F32;
            let mut to = std::fs::File::create(path).unwrap();
            anyflow_runtime::checkpoint::write(&mut to, path, &file.tensors, metadata, precision).unwrap();
        }),
    ];
    for (name, damage) in damages {
        for files in [&[STATE][..], &[OTHER_STATE], &[STATE, OTHER_STATE]] {
            let numbers = numbers.copied();
            files.iter().for_each(|file| damage(&numbers.path(file)));
            let output = numbers.train("cut", &[]).ok();
            let told =
                output.err.contains("resumes from the state before it") || output.out.contains("the state before");
            assert_eq!(told, name != "gone", "{name}: {output:?}");
            assert!(model(&numbers, "whole") == model(&numbers, "cut"), "{name} of {files:?}");
            assert_eq!(metrics(&numbers, "whole"), metrics(&numbers, "cut"), "{name} of {files:?}");
        }
    }
}

#[test]
fn a_truncated_line_of_metrics_is_dropped() {
    let numbers = with_steps(1000);
    numbers.train("whole", &[]).ok();
    train_and_die(&numbers, 6);
    for rest in [&b"{\"stage\":\"diffusion\",\"st"[..], b"{\"stage\":\"diffusion\",\"step\":900}", b"\xff\xfe\n\0\0\0"]
    {
        let numbers = numbers.copied();
        let path = numbers.path("cut/metrics.jsonl");
        let lines = [&std::fs::read(&path).unwrap()[..], rest].concat();
        std::fs::write(&path, lines).unwrap();
        numbers.train("cut", &[]).ok();
        assert_eq!(metrics(&numbers, "whole"), metrics(&numbers, "cut"));
    }
}

/// The command is refused with exit code 2 and these words, and does not change the folder.
#[track_caller]
fn refuses(numbers: &Numbers, output: &str, arguments: &[&str], words: &[&str]) {
    let before = numbers.files(output);
    let refused = numbers.call(&[], arguments);
    assert_eq!(refused.code, 2, "{refused:?}");
    for word in words {
        assert!(refused.err.contains(word), "{word:?} is missing: {}", refused.err);
    }
    assert!(before == numbers.files(output), "a refused command changed the folder");
}

const TRAIN: [&str; 4] = ["train", "train.yaml", "--output", "training"];

#[test]
fn stages_and_records_of_another_training_are_not_adopted() {
    let numbers = Numbers::new();
    numbers.train("training", &[]).ok();
    let changed = |change: fn(&Numbers)| {
        let numbers = numbers.copied();
        change(&numbers);
        numbers
    };
    let stage = |numbers: &Numbers| numbers.path("training/stages/01-diffusion.safetensors");

    let nameless = changed(|numbers| std::fs::remove_file(numbers.path("training/training.json")).unwrap());
    refuses(&nameless, "training", &TRAIN, &["training.json", "stages/00-statistics.safetensors", "--output"]);
    let unreadable = changed(|numbers| std::fs::write(numbers.path("training/training.json"), b"\xff{").unwrap());
    refuses(&unreadable, "training", &TRAIN, &["training.json"]);
    let older =
        changed(|numbers| numbers.write("training/training.json", r#"{"plan": {}, "device": "cpu", "start": null}"#));
    refuses(&older, "training", &TRAIN, &["training.json"]);

    let other = numbers.copied();
    other.edit("train.yaml", "seed: 5", "seed: 6");
    std::fs::remove_dir_all(other.path("training")).unwrap();
    other.train("training", &[]).ok();
    std::fs::copy(stage(&other), stage(&numbers)).unwrap();
    refuses(
        &numbers,
        "training",
        &TRAIN,
        &["01-diffusion.safetensors", "of another training", "train the stage again"],
    );
}

#[test]
fn damaged_or_non_finite_weights_are_refused_everywhere() {
    let numbers = Numbers::new();
    numbers.train("training", &[]).ok();
    let whole = model(&numbers, "training");
    let verified = || numbers.call(&[], &["data", "verify", "training"]);
    assert!(verified().ok().out.contains("training: good (3 files of weights"));
    flip(&numbers.path("training/stages/01-diffusion.safetensors"));
    refuses(&numbers, "training", &TRAIN, &["01-diffusion.safetensors", "has changed since it was written"]);

    let damaged = verified();
    assert!(damaged.code == 1 && damaged.out.contains("stages/01-diffusion.safetensors"), "{damaged:?}");

    let run = Numbers::run_of("rows.parquet", "out");
    flip(&numbers.path("weights/model.safetensors"));
    for arguments in [&run[..], &TRAIN] {
        let refused = numbers.call(&[], arguments);
        assert!(refused.code == 2 && refused.err.contains("model.safetensors"), "{refused:?}");
    }
    assert!(!numbers.path("out").exists(), "a job that cannot start leaves no folder");

    // A changed dtype of the same length.
    let at = whole.windows(6).position(|part| part == b"\"BF16\"").unwrap();
    let relabelled = [&whole[..at], b"\"F16\" ", &whole[at + 6..]].concat();
    std::fs::write(numbers.path("weights/model.safetensors"), relabelled).unwrap();
    let refused = numbers.call(&[], &run);
    assert!(refused.code == 2 && refused.err.contains("has changed since it was written"), "{refused:?}");

    let path = numbers.path("weights/model.safetensors");
    std::fs::write(&path, &whole).unwrap();
    let file = anyflow_runtime::checkpoint::read(&path).unwrap();
    let _ = file.tensors["denoisers.only.input.weight"].view([-1]).get(0).fill_(f64::NAN);
    let mut to = std::fs::File::create(&path).unwrap();
    let precision = anyflow_runtime::checkpoint::WeightType::F32;
    anyflow_runtime::checkpoint::write(&mut to, &path, &file.tensors, file.metadata, precision).unwrap();
    let refused = numbers.call(&[], &run);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("denoisers.only.input.weight") && refused.err.contains("not finite"), "{refused:?}");
}

#[test]
fn each_kind_of_job_refuses_the_folders_of_the_others() {
    let numbers = Numbers::new();
    numbers.run("out", &[]).ok();
    refuses(&numbers, "out", &["train", "train.yaml", "--output", "out"], &["output of a run", "training", "--output"]);
    let run = Numbers::run_of("rows.parquet", "weights");
    refuses(&numbers, "weights", &run, &["output of a training", "--output"]);

    // A label of two classes is enough for an evaluation.
    let label = "{codec: {use: label/one-hot, classes: 2}, latent: [2]}";
    numbers.write(
        "words.yaml",
        &format!(
            "anyflow: 1\nname: words\ncheckpoint: words/model.safetensors\nstreams: {{label: {label}}}\ndenoisers:\n  \
             only: {{over: [label], network: {{kind: residual-mlp, width: 8, blocks: 1}}, predict: x0}}\n"
        ),
    );
    let data = "sources: {digits: rows.parquet}\n";
    let stage = "{name: diffusion, train: only, objective: {kind: denoise}, data: all, steps: 5, batch: 8}";
    let training = format!("{data}data: {{all: {{columns: {{label: digits.label}}}}}}\nstages: [{stage}]\n");
    numbers.write("words-train.yaml", &format!("anyflow: 1\nname: words\nmodel: words.yaml\nseed: 1\n{training}"));
    let asked = "data: {class: digits.label, columns: {label: digits.label}}\njudges: {label: {score: label/one-hot}}\n\
                 sampler: {kind: ddim, steps: 2}\nrows: 8\nseeds: [1]\ntasks: {all: {generate: [label]}}\n";
    numbers.write("words-eval.yaml", &format!("anyflow: 1\nname: words\nmodel: words.yaml\n{data}{asked}"));
    let call = |command: &str, output: &str, more: &[&str]| {
        let path = |name: &str| numbers.path(name).display().to_string();
        let arguments = [command.to_string(), path(&format!("words-{command}.yaml")), "--output".into(), path(output)];
        anyflow(arguments.into_iter().chain(more.iter().chain(&["--threads", "1"]).map(ToString::to_string)))
    };
    call("train", "words", &[]).ok();
    for (folder, kind) in [("out", "a run"), ("words", "a training")] {
        let before = numbers.files(folder);
        let refused = call("eval", folder, &[]);
        assert!(refused.code == 2 && refused.err.contains(&format!("output of {kind}")), "{refused:?}");
        assert!(before == numbers.files(folder));
    }
    call("eval", "figures", &[]).ok();
    // An evaluation replaces an earlier one.
    let order = || std::fs::read(numbers.path("figures/order.json")).unwrap();
    let first = order();
    call("eval", "figures", &["--set", "rows=4"]).ok();
    assert!(first != order() && numbers.path("figures/eval.json").exists());
    let run = Numbers::run_of("rows.parquet", "figures");
    refuses(&numbers, "figures", &run, &["output of an evaluation"]);
    refuses(&numbers, "figures", &["train", "train.yaml", "--output", "figures"], &["output of an evaluation"]);
}

#[test]
fn a_job_is_identified_by_its_record_not_its_order() {
    let numbers = Numbers::new();
    assert_ne!(numbers.run("out", &[("ANYFLOW_FAILPOINT", "committed".into())]).code, 0);
    numbers.run("whole", &[]).ok();
    for order in [None, Some("{}"), Some("\u{0}"), Some(r#"{"format": 0}"#)] {
        let numbers = numbers.copied();
        match order {
            None => std::fs::remove_file(numbers.path("out/order.json")).unwrap(),
            Some(text) => numbers.write("out/order.json", text),
        }
        numbers.run("out", &[]).ok();
        let rows = |output: &str| std::fs::read(numbers.path(output).join("data/shard-00002.parquet")).unwrap();
        assert!(rows("out") == rows("whole"));
        let order: Value = serde_json::from_slice(&std::fs::read(numbers.path("out/order.json")).unwrap()).unwrap();
        assert!(order["inputs"][0].as_str().unwrap().ends_with("rows.parquet"));
    }
}

#[test]
fn a_run_names_the_weights_that_made_its_rows() {
    let numbers = Numbers::new();
    numbers.build(&["PAUSE_US=200000"]);
    let hash = |numbers: &Numbers| blake3_of(&numbers.path("weights/model.safetensors"));
    let before = hash(&numbers);
    let mut front = start(numbers.command(&[], &Numbers::run_of("rows.parquet", "out")));
    wait_for(&numbers.path("out/commits/00000.json"), &mut front);
    numbers.edit("train.yaml", "seed: 5", "seed: 6");
    numbers.train("later", &[]).ok();
    std::fs::copy(numbers.path("later/model.safetensors"), numbers.path("weights/model.safetensors")).unwrap();
    assert!(front.wait().unwrap().success());
    assert_ne!(before, hash(&numbers));
    let told: Value = serde_json::from_slice(&std::fs::read(numbers.path("out/run.json")).unwrap()).unwrap();
    assert_eq!(told["checkpoint_blake3"], before.as_str());
    assert_eq!(told["plugins_blake3"]["scaled"], blake3_of(&numbers.path("plugins/libanyflow_scaled.so")).as_str());
}

fn blake3_of(path: &Path) -> String {
    blake3::hash(&std::fs::read(path).unwrap()).to_hex().to_string()
}

#[test]
fn a_generated_source_does_not_replace_other_files() {
    let numbers = Numbers::new();
    numbers.edit(
        "train.yaml",
        "sources: {rows: rows.parquet}",
        "sources: {rows: {generate: glyphs, rows: 8, seed: 1}}",
    );
    numbers.edit("train.yaml", "rows.value", "rows.label");
    std::fs::create_dir_all(numbers.path("mine/data")).unwrap();
    std::fs::copy(numbers.path("rows.parquet"), numbers.path("mine/data/rows.parquet")).unwrap();
    let before = std::fs::read(numbers.path("mine/data/rows.parquet")).unwrap();
    let refused = numbers.train("mine", &[]);
    assert!(refused.code == 2 && refused.err.contains("not a generated file"), "{refused:?}");
    assert!(before == std::fs::read(numbers.path("mine/data/rows.parquet")).unwrap());
}

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// A running `anyflow train` into `cut`.
fn training(numbers: &Numbers) -> Child {
    start(numbers.command(&[], &["train", "train.yaml", "--output", "cut"]))
}

#[track_caller]
fn wait_for(file: &Path, front: &mut Child) {
    let started = Instant::now();
    while !file.exists() {
        assert!(started.elapsed() < PATIENCE, "{} does not come", file.display());
        assert!(front.try_wait().unwrap().is_none(), "the command ended before {} came", file.display());
        std::thread::sleep(Duration::from_millis(3));
    }
}

fn kill(pid: &str) {
    Command::new("kill").args(["-9", pid]).status().unwrap();
}

fn children(front: &Child) -> Vec<String> {
    let list = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", front.id())).unwrap();
    list.split_whitespace().map(str::to_string).collect()
}

/// Reruns the command until no other process writes to the folder.
fn train_until_done(numbers: &Numbers, output: &str) {
    let started = Instant::now();
    loop {
        let again = numbers.train(output, &[]);
        match again.code {
            0 => return,
            1 => assert!(again.err.contains("process "), "the holder is named: {again:?}"),
            _ => panic!("{again:?}"),
        }
        assert!(started.elapsed() < PATIENCE, "{again:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_second_training_in_a_folder_names_the_writer() {
    let numbers = with_steps(1_000_000);
    let mut front = training(&numbers);
    wait_for(&numbers.path("cut/metrics.jsonl"), &mut front);
    let engine = children(&front).remove(0);
    let second = numbers.train("cut", &[]);
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.err.contains(&format!("process {engine}")), "{second:?}");
    kill(&engine);
    front.wait().unwrap();
}

#[test]
fn a_training_whose_front_is_killed_resumes_to_the_same_weights() {
    let numbers = with_steps(3000);
    numbers.train("whole", &[]).ok();
    for both in [true, false] {
        let numbers = numbers.copied();
        let mut front = training(&numbers);
        wait_for(&numbers.path(STATE), &mut front);
        let engine = children(&front);
        kill(&front.id().to_string());
        engine.iter().filter(|_| both).for_each(|pid| kill(pid));
        front.wait().unwrap();
        train_until_done(&numbers, "cut");
        assert!(model(&numbers, "whole") == model(&numbers, "cut"), "both: {both}");
        assert_eq!(metrics(&numbers, "whole"), metrics(&numbers, "cut"), "both: {both}");
    }
}
