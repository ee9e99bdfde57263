//! Trained classifiers as nodes of a pipeline.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::process::Command;

use anyflow_datasets::OwnedCell;
use anyflow_tests::{Output, anyflow, cells, python};

const MLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld");

fn run(file: &Path, output: &Path, more: &[&str]) -> Output {
    let arguments = ["run".as_ref(), file.as_os_str(), "--output".as_ref(), output.as_os_str()];
    anyflow(arguments.into_iter().chain(["--threads", "1", "--json"].iter().chain(more).map(std::ffi::OsStr::new)))
}

fn shipped(name: &str) -> PathBuf {
    Path::new(MLD).join(name)
}

fn numbers(folder: &Path, column: &str) -> Vec<i64> {
    let number = |cell| if let OwnedCell::I64(number) = cell { number } else { panic!("{cell:?}") };
    cells(folder, column).into_iter().map(number).collect()
}

/// A pipeline beside the shipped model, in a folder of the test.
fn beside_the_model(folder: &Path, lines: &str) -> PathBuf {
    let file = folder.join("pipeline.yaml");
    let text = format!("anyflow: 1\nname: p\nmodel: {MLD}/model.yaml\n{lines}");
    std::fs::write(&file, text.replace("JUDGES", &format!("{MLD}/weights/judges.safetensors"))).unwrap();
    file
}

#[test]
fn classifiers_see_the_digits_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let joint = folder.path().join("joint");
    run(&shipped("joint.yaml"), &joint, &["--rows", "40", "--set", "joint.sampler.steps=20"]).ok();
    let lines = "inputs: {image: {modality: image}, sound: {modality: audio, column: audio}}
nodes:
  seen: {score: image/classifier, weights: JUDGES, from: image}
  heard: {score: audio/classifier, weights: JUDGES, from: sound}
outputs: {seen: seen.label, heard: heard.label}
";
    let output = folder.path().join("judged");
    run(&beside_the_model(folder.path(), lines), &output, &["--input", joint.to_str().unwrap()]).ok();
    let labels = numbers(&joint, "label");
    // Trained on real digits, the judges agree with the jointly generated label in 97 % of the rows; 85 % is 3 sigma below.
    for column in ["seen", "heard"] {
        let right = numbers(&output, column).iter().zip(&labels).filter(|(found, label)| found == label).count();
        assert!(right >= 34, "{column}: {right} of 40");
    }
}

#[test]
fn the_shipped_pipeline_judges_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    run(&shipped("joint-judged.yaml"), &output, &["--rows", "12", "--set", "joint.sampler.steps=10"]).ok();
    // A second pipeline that reads the written files gives the same classes and scores: the cells were written and read back.
    let lines = "inputs: {image: {modality: image}}
nodes: {seen: {score: image/classifier, weights: JUDGES, from: image}}
outputs: {again: seen.label, again_scores: seen.scores}
";
    let again = folder.path().join("again");
    run(&beside_the_model(folder.path(), lines), &again, &["--input", output.to_str().unwrap()]).ok();
    assert_eq!(numbers(&again, "again"), numbers(&output, "digit"));

    let Some(python) = python() else { return };
    let script = r#"
import sys, glob, math
import pyarrow as pa, pyarrow.parquet as pq
table = pq.read_table(glob.glob(sys.argv[1] + "/data/*.parquet")[0])
again = pq.read_table(glob.glob(sys.argv[2] + "/data/*.parquet")[0])
assert table.schema.field("digit").type == pa.int64(), table.schema
assert table.schema.field("word").type == pa.string(), table.schema
assert table.schema.field("digit_scores").type == pa.list_(pa.field("item", pa.float32())) or \
    table.schema.field("digit_scores").type.value_type == pa.float32(), table.schema
words = "zero one two three four five six seven eight nine".split()
assert table.num_rows == 12
for row, other in zip(table.to_pylist(), again.to_pylist()):
    for scores, best in [(row["digit_scores"], row["digit"]), (row["word_scores"], words.index(row["word"]))]:
        assert len(scores) == 10 and abs(sum(map(math.exp, scores)) - 1) < 1e-5, scores
        assert scores.index(max(scores)) == best
    assert all(abs(a - b) < 1e-4 for a, b in zip(row["digit_scores"], other["again_scores"])), "f32"
"#;
    let read = Command::new(python).args(["-c", script]).args([&output, &again]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
fn features_and_scores_have_the_number_type_that_the_pipeline_names() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    run(&shipped("joint.yaml"), &images, &["--rows", "12", "--set", "joint.sampler.steps=4"]).ok();
    let input = ["--input", images.to_str().unwrap(), "--keep", "image"];
    let output = folder.path().join("typed");
    run(&Path::new(MLD).join("../examples/features.yaml"), &output, &input).ok();
    let lines = "inputs: {image: {modality: image}}
nodes: {seen: {score: image/classifier, weights: JUDGES, from: image}}
outputs: {digit: seen.label, features: seen.features, scores: seen.scores, latent: {from: small, dtype: f16}}
";
    let lines = lines.replace("}}\noutputs", "}, small: {encode: image/autoencoder, from: image}}\noutputs");
    let plain = folder.path().join("plain");
    run(&beside_the_model(folder.path(), &lines), &plain, &input).ok();

    let Some(python) = python() else { return };
    let script = r#"
import sys, glob
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
typed, plain = (pq.read_table(glob.glob(folder + "/data/*.parquet")[0]) for folder in sys.argv[1:])
assert typed.schema.field("features").type.value_type == pa.float16(), typed.schema
assert typed.schema.field("features").type == pa.list_(pa.float16(), plain.schema.field("features").type.list_size)
assert plain.schema.field("features").type.value_type == pa.float32(), plain.schema
assert typed.schema.field("scores").type.value_type == pa.float32(), typed.schema
assert plain.schema.field("latent").type.value_type == pa.float16(), plain.schema
numbers = lambda table, column: np.array(table[column].to_pylist(), dtype=np.float32)
features = numbers(plain, "features")
assert features.shape[0] == 12 and features.std() > 0 and np.linalg.matrix_rank(features) > 1
assert (numbers(typed, "features") == features.astype(np.float16)).all(), "f16 rounds to nearest"
bits = numbers(typed, "scores").view(np.uint32)
assert (bits & 0xffff == 0).all(), "bf16 has 16 bits"
assert np.abs(numbers(typed, "scores") / numbers(plain, "scores") - 1).max() <= 2**-8, "bf16"
assert typed["digit"] == plain["digit"]
"#;
    let read = Command::new(python).args(["-c", script]).args([&output, &plain]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
fn weights_of_a_scorer_are_part_of_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let weights = folder.path().join("judges.safetensors");
    std::fs::copy(shipped("weights/judges.safetensors"), &weights).unwrap();
    let lines = "nodes:
  joint: {diffuse: [image], sampler: {kind: ddim, steps: 2}}
  drawing: {decode: image/autoencoder, from: joint.image}
  seen: {score: image/classifier, weights: judges.safetensors, from: drawing}
outputs: {digit: seen.label}
";
    let file = beside_the_model(folder.path(), lines);
    let output = folder.path().join("out");
    run(&file, &output, &["--rows", "4"]).ok();
    let mut bytes = std::fs::read(&weights).unwrap();
    let at = bytes.len() - 2;
    bytes[at] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let refused = run(&file, &output, &["--rows", "4"]);
    assert!(refused.code == 2 && refused.out.contains("weights scorer seen"), "{refused:?}");
    std::fs::remove_file(&weights).unwrap();
    let absent = run(&file, &folder.path().join("other"), &["--rows", "4"]);
    assert!(absent.code != 0 && absent.out.contains("judges.safetensors"), "{absent:?}");
}
