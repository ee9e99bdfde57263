//! The identity of a job is its content: changes of the content are refused by name, and other changes resume to the
//! same bytes.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyflow_datasets::{Dataset, Feature, Folder, JobId, TableWriter};
use anyflow_tests::{Numbers, Output};
use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::Value;

/// What happens to an interrupted job after a change.
#[derive(Clone, Copy)]
enum Verdict {
    /// It resumes and ends with the bytes of an uninterrupted job.
    Same,
    /// It is refused, and the error names this part.
    Refused(&'static str),
}
use Verdict::{Refused, Same};

/// A change of the project, which is moved to another folder as well.
struct Change {
    name: &'static str,
    make: fn(&Numbers),
    /// Additional arguments of the command.
    more: &'static [&'static str],
    run: Verdict,
    train: Verdict,
}

fn values() -> Vec<f64> {
    (0..24).map(f64::from).collect()
}

fn label(row: usize) -> i64 {
    row as i64 % 2
}

/// Rewrites the weights with one number changed.
fn other_weights(numbers: &Numbers) {
    let path = numbers.path("weights/model.safetensors");
    let read = anyflow_runtime::checkpoint::read(&path).unwrap();
    let _ = read.tensors["denoisers.only.input.weight"].shallow_clone().f_mul_scalar_(1.5).unwrap();
    let mut file = std::fs::File::create(&path).unwrap();
    let precision = anyflow_runtime::checkpoint::WeightType::F32;
    anyflow_runtime::checkpoint::write(&mut file, &path, &read.tensors, read.metadata, precision).unwrap();
}

fn moved_weights(numbers: &Numbers) {
    std::fs::rename(numbers.path("weights"), numbers.path("elsewhere")).unwrap();
    numbers.edit("model.yaml", "weights/", "elsewhere/");
    numbers.edit("train.yaml", "weights/", "elsewhere/");
}

/// The record of a folder, one part of it changed: that of another release, or of another device.
fn rewrite_record(numbers: &Numbers, part: &str, value: &str) {
    for (output, file) in [("run", "job.json"), ("training", "training.json")] {
        let text = std::fs::read(numbers.path(output).join(file)).unwrap();
        let record: Value = serde_json::from_slice(&text).unwrap();
        let parts = record["parts"].as_object().unwrap();
        let job = parts.iter().fold(JobId::default(), |job, (name, value)| job.with(name, value.as_str().unwrap()));
        assert!(parts.contains_key(part), "{part}: {record}");
        let folder = Folder::open(&numbers.path(output)).unwrap();
        job.with(part, value).write(&folder, file).unwrap();
    }
}

const CHANGES: [Change; 17] = [
    Change { name: "nothing but the place of the project", make: |_| {}, more: &[], run: Same, train: Same },
    Change {
        name: "a value",
        make: |numbers| {
            let mut values = values();
            values[20] = 7.5;
            numbers.write_rows(&values, label);
        },
        more: &[],
        run: Refused("input"),
        train: Refused("source rows"),
    },
    Change {
        name: "two labels",
        make: |numbers| {
            numbers.write_rows(&values(), |row| if row == 20 || row == 21 { 1 - label(row) } else { label(row) })
        },
        more: &[],
        run: Refused("input"),
        train: Refused("source rows"),
    },
    Change {
        name: "the order of the rows",
        make: |numbers| {
            let mut values = values();
            values.swap(20, 22);
            numbers.write_rows(&values, label);
        },
        more: &[],
        run: Refused("input"),
        train: Refused("source rows"),
    },
    Change {
        name: "the name of the input",
        make: |numbers| {
            std::fs::rename(numbers.path("rows.parquet"), numbers.path("others.parquet")).unwrap();
            numbers.edit("train.yaml", "rows.parquet", "others.parquet");
        },
        more: &[],
        run: Same,
        train: Same,
    },
    Change {
        name: "the number of rows",
        make: |numbers| numbers.write_rows(&values()[..23], label),
        more: &[],
        run: Refused("rows"),
        train: Refused("source rows"),
    },
    Change {
        name: "a weight",
        make: other_weights,
        more: &[],
        run: Refused("weights"),
        train: Refused("weights start"),
    },
    Change { name: "the path of the weights", make: moved_weights, more: &[], run: Same, train: Same },
    Change {
        name: "the code of the plugin",
        make: |numbers| numbers.build(&["SCALE=2.0"]),
        more: &[],
        run: Refused("plugin scaled"),
        train: Refused("plugin scaled"),
    },
    Change {
        name: "the name of the plugin's file",
        make: |numbers| {
            let file = |name: &str| numbers.path("plugins").join(name);
            std::fs::rename(file("libanyflow_scaled.so"), file("libanyflow_other.so")).unwrap();
        },
        more: &[],
        run: Same,
        train: Same,
    },
    Change {
        name: "a comment, and the names of the YAML files",
        make: |numbers| {
            for name in ["model.yaml", "pipeline.yaml", "train.yaml"] {
                numbers.edit(name, "anyflow: 1\n", "# a comment\nanyflow: 1\n");
            }
            std::fs::rename(numbers.path("model.yaml"), numbers.path("renamed.yaml")).unwrap();
            numbers.edit("pipeline.yaml", "model.yaml", "renamed.yaml");
            numbers.edit("train.yaml", "model.yaml", "renamed.yaml");
        },
        more: &[],
        run: Same,
        train: Same,
    },
    Change {
        name: "a value of the YAML files",
        make: |numbers| {
            numbers.edit("pipeline.yaml", "steps: 2", "steps: 3");
            numbers.edit("train.yaml", "steps: 100", "steps: 150");
        },
        more: &[],
        run: Refused("joint.sampler.steps: 3 now, 2 then"),
        train: Refused("diffusion.steps: 150 now, 100 then"),
    },
    Change {
        name: "the seed",
        make: |numbers| {
            numbers.edit("pipeline.yaml", "seed: 7", "seed: 8");
            numbers.edit("train.yaml", "seed: 5", "seed: 6");
        },
        more: &[],
        run: Refused("joint.seed: 8 now, 7 then"),
        train: Refused("seed: 6 now, 5 then"),
    },
    Change {
        name: "the threads",
        make: |_| {},
        more: &["--threads", "2"],
        run: Refused("threads: 2 now, 1 then (use --threads 1)"),
        train: Refused("threads: 2 now, 1 then (use --threads 1)"),
    },
    Change {
        name: "the kind of device",
        make: |numbers| rewrite_record(numbers, "device", "cuda"),
        more: &[],
        run: Refused("device: cpu now, cuda then (use --device cuda)"),
        train: Refused("device: cpu now, cuda then (use --device cuda)"),
    },
    Change {
        name: "the version",
        make: |numbers| rewrite_record(numbers, "anyflow", "0.0.9"),
        more: &[],
        run: Refused("0.0.9 then (use version 0.0.9)"),
        train: Refused("0.0.9 then (use version 0.0.9)"),
    },
    Change {
        name: "the version of libtorch",
        make: |numbers| rewrite_record(numbers, "libtorch", "2.10.0"),
        more: &[],
        run: Refused("libtorch: 2.11.0 now, 2.10.0 then"),
        train: Refused("libtorch: 2.11.0 now, 2.10.0 then"),
    },
];

fn run(numbers: &Numbers, more: &[&str]) -> Output {
    let input = ["rows.parquet", "others.parquet"].into_iter().find(|name| numbers.path(name).exists()).unwrap();
    numbers.call(&[], &[&Numbers::run_of(input, "run"), more].concat())
}

fn train(numbers: &Numbers, more: &[&str]) -> Output {
    numbers.call(&[], &[&["train", "train.yaml", "--output", "training"], more].concat())
}

/// The files of an output that hold rows or weights.
fn content(numbers: &Numbers, output: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = numbers.files(output);
    files.retain(|name, _| {
        let of_shard = name.starts_with("data") || name == Path::new("failures.parquet");
        of_shard || name == Path::new("model.safetensors")
    });
    files
}

/// Reruns a job and compares the result with the verdict.
fn judge(change: &Change, verdict: Verdict, of: &str, numbers: &Numbers, whole: &Numbers) {
    let before = numbers.files(of);
    let output = if of == "run" { run(numbers, change.more) } else { train(numbers, change.more) };
    match verdict {
        Same => {
            assert_eq!(output.code, 0, "{}, {of}: {output:?}", change.name);
            assert!(content(numbers, of) == content(whole, of), "{}, {of}: other bytes", change.name);
        }
        Refused(part) => {
            assert_eq!(output.code, 2, "{}, {of}: {output:?}", change.name);
            assert!(output.err.contains(part), "{}, {of}: {part} is not named: {}", change.name, output.err);
            assert!(output.err.contains("--output"), "{}", output.err);
            assert!(before == numbers.files(of), "{}, {of}: a refused command changed the folder", change.name);
        }
    }
}

#[test]
fn changes_of_content_are_refused_by_name_and_others_resume() {
    let begun = Numbers::new();
    let whole = begun.copied();
    run(&whole, &[]).ok();
    train(&whole, &[]).ok();
    assert!(content(&whole, "run").len() == 4 && content(&whole, "training").len() == 1);

    // One of three shards is committed. One of two stages is finished: record, order, rows, latents and the stage
    // are published.
    let stop = |point: &str| [("ANYFLOW_FAILPOINT", point.into())];
    assert_ne!(begun.run("run", &stop("committed")).code, 0);
    assert_ne!(begun.train("training", &stop("file-published:4")).code, 0);
    assert!(begun.path("run/commits").read_dir().unwrap().count() == 1 && !begun.path("run/manifest.json").exists());
    assert!(begun.path("training/stages/00-statistics.safetensors").exists());
    assert!(!begun.path("training/model.safetensors").exists());

    for change in &CHANGES {
        let numbers = begun.copied();
        (change.make)(&numbers);
        judge(change, change.run, "run", &numbers, &whole);
        judge(change, change.train, "training", &numbers, &whole);
    }
}

/// Gives the rows a column of images that are files next to `rows.parquet`.
fn link_images(numbers: &Numbers) {
    let path = numbers.path("rows.parquet");
    let dataset = Dataset::open(std::slice::from_ref(&path)).unwrap();
    let rows = dataset.read(None, 0..24, 24).unwrap().next().unwrap().unwrap().rows;
    let names: Vec<String> = (0..24).map(|row| format!("images/{row}.png")).collect();
    std::fs::create_dir(numbers.path("images")).unwrap();
    names.iter().for_each(|name| numbers.write(name, name));
    let mut features = dataset.features().clone();
    features.0.insert("image".into(), Feature::Image);
    let mut fields = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new("image", DataType::Utf8, true)));
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(StringArray::from(names)));
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let mut writer = TableWriter::create(&path, &rows.schema(), &features).unwrap();
    writer.write(&rows).unwrap();
    writer.finish().unwrap();
}

#[test]
fn a_changed_linked_file_is_refused_by_name() {
    let begun = Numbers::new();
    link_images(&begun);
    let stop = |point: &str| [("ANYFLOW_FAILPOINT", point.into())];
    assert_ne!(begun.run("run", &stop("committed")).code, 0);
    assert_ne!(begun.train("training", &stop("file-published:3")).code, 0);

    let moved = begun.copied();
    run(&moved, &[]).ok();
    train(&moved, &[]).ok();
    // Row 2 is committed already, row 20 is not. Both change the job.
    for row in [2, 20] {
        let changed = begun.copied();
        changed.write(&format!("images/{row}.png"), "another image");
        for (of, output) in [("run", run(&changed, &[])), ("training", train(&changed, &[]))] {
            assert_eq!(output.code, 2, "{of}: {output:?}");
            assert!(output.err.contains("linked files"), "{of}: {}", output.err);
            assert!(!changed.path(of).join("manifest.json").exists());
        }
    }
}

#[test]
fn a_linked_file_that_changes_during_the_run_is_noticed() {
    let numbers = Numbers::new();
    link_images(&numbers);
    numbers.build(&["PAUSE_US=300000"]);
    let mut command = numbers.command(&[], &Numbers::run_of("rows.parquet", "run"));
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let committed = || numbers.path("run/commits").read_dir().is_ok_and(|mut commits| commits.next().is_some());
    while !committed() {
        std::thread::sleep(Duration::from_millis(5));
    }
    numbers.write("images/2.png", "another image");
    let output = running.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("files that cells link to were changed"), "{error}");
    assert!(!numbers.path("run/manifest.json").exists());
}
