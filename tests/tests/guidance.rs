//! Guidance, masks, noised observations and batch sizes, with the shipped model.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};

use anyflow_datasets::{Feature, OwnedCell};
use anyflow_tests::{anyflow, cells, write_columns};
use serde_json::Value;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld/model.yaml");

/// Runs a pipeline of these lines on the shipped model.
fn run(folder: &Path, name: &str, lines: &str, more: &[&str]) -> (PathBuf, Value) {
    let pipeline = folder.join(format!("{name}.yaml"));
    let output = folder.join(name);
    std::fs::write(&pipeline, format!("anyflow: 1\nname: {name}\nmodel: {MODEL}\n{lines}")).unwrap();
    let arguments = ["run".as_ref(), pipeline.as_os_str(), "--output".as_ref(), output.as_os_str(), "--json".as_ref()];
    let more = more.iter().map(std::ffi::OsStr::new).chain(["--threads", "1"].map(AsRef::as_ref));
    let result = anyflow(arguments.into_iter().chain(more)).ok().json();
    (output, result)
}

fn numbers(folder: &Path, name: &str) -> Vec<i64> {
    let number = |cell: OwnedCell| match cell {
        OwnedCell::I64(number) => number,
        other => panic!("{other:?}"),
    };
    cells(folder, name).into_iter().map(number).collect()
}

/// Two columns of class numbers.
fn write_classes(folder: &Path, rows: impl Iterator<Item = (i64, i64)>) {
    let (digits, places): (Vec<_>, Vec<_>) =
        rows.map(|(digit, place)| (Some(OwnedCell::I64(digit)), Some(OwnedCell::I64(place)))).unzip();
    let kind = || Feature::Value("int64".into());
    write_columns(folder, vec![("digit", kind(), digits), ("place", kind(), places)]);
}

const MASKED: &str = "
inputs:
  digit: {modality: label, column: digit}
  place: {modality: label, column: place}
nodes:
  meant: {encode: label/one-hot, from: digit}
  element: {encode: label/one-hot, from: place}
  joint: {diffuse: [label], observe: {label: {from: meant, mask: element}}, sampler: {kind: ddim, steps: 50, eta: 1.0}}
  made: {decode: label/one-hot, from: joint.label}
outputs: {made: made, digit: digit, place: place}
";

/// The stream is a one-hot vector of ten numbers, and the mask observes one of them. If it is 1, the class is known. If it
/// is 0, that class is excluded, and one of the other nine is generated.
#[test]
fn an_observed_element_selects_or_excludes_a_class() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_classes(&data, (0..60).map(|row| (row % 10, if row < 30 { row % 10 } else { (row + 1) % 10 })));
    let (output, _) = run(folder.path(), "masked", MASKED, &["--input", data.to_str().unwrap()]);
    let [made, digit, place] = ["made", "digit", "place"].map(|name| numbers(&output, name));
    assert_eq!(made.len(), 60);
    let right = (0..30).filter(|row| made[*row] == digit[*row]).count();
    assert!(right >= 27, "{right} of 30: {made:?}");
    let excluded = (30..60).filter(|row| made[*row] != place[*row]).count();
    assert!(excluded >= 27, "{excluded} of 30: {made:?}");
    let others: std::collections::BTreeSet<i64> = made[30..].iter().copied().collect();
    assert!(others.len() > 3, "{made:?}");
}

fn label_from(more: &str) -> String {
    format!(
        "
inputs: {{digit: {{modality: label, column: digit}}}}
nodes:
  meant: {{encode: label/one-hot, from: digit}}
  joint: {{diffuse: [image], observe: {{label: meant}}, absent: [audio, text], sampler: {{kind: ddim, steps: 10}}{more}}}
  drawn: {{decode: image/autoencoder, from: joint.image}}
outputs: {{image: drawn}}
"
    )
}

#[test]
fn guidance_doubles_the_network_rows_unless_its_scale_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_classes(&data, (0..20).map(|row| (row % 10, 0)));
    let more = ["--input", data.to_str().unwrap(), "--batch-rows", "64"];
    let run = |name: &str, keys: &str| run(folder.path(), name, &label_from(keys), &more);
    let bytes = |folder: &Path| cells(folder, "image");
    let (plain, plainly) = run("plain", "");
    let (one, asked_one) = run("one", ", guidance: {kind: cfg, scale: 1.0}");
    let (strong, asked_strong) = run("strong", ", guidance: {kind: cfg, scale: {label: 3.0}}");
    let (noised, _) = run("noised", ", given: noised");
    assert_eq!([&plainly, &asked_one, &asked_strong].map(|result| result["row_steps"].clone()), [200, 200, 400]);
    assert_eq!(bytes(&plain), bytes(&one));
    assert_ne!(bytes(&plain), bytes(&strong));
    assert_ne!(bytes(&plain), bytes(&noised));
}

#[test]
fn a_job_keeps_its_measured_batch_size() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_classes(&data, (0..20).map(|row| (row % 10, 0)));
    let input = ["--input", data.to_str().unwrap()];
    let kept = |output: &Path| -> Value {
        serde_json::from_slice(&std::fs::read(output.join("batch.json")).unwrap()).unwrap()
    };
    let (output, _) = run(folder.path(), "measured", &label_from(""), &input);
    let measured = kept(&output);
    assert!(measured["joint"]["rows"].as_u64().unwrap() >= 1, "{measured}");
    assert!(!measured["joint"]["rates"].as_array().unwrap().is_empty(), "{measured}");
    // A resumed job uses the recorded size without measuring again.
    std::fs::write(output.join("batch.json"), r#"{"joint": {"rows": 3, "rates": []}}"#).unwrap();
    std::fs::remove_file(output.join("commits/00000.json")).unwrap();
    let (_, again) = run(folder.path(), "measured", &label_from(""), &input);
    assert_eq!(kept(&output)["joint"]["rows"], 3);
    assert_eq!(again["network_calls"], 10 * 7);
    let (asked, result) = run(folder.path(), "asked", &label_from(""), &[&input[..], &["--batch-rows", "5"]].concat());
    assert_eq!((kept(&asked)["joint"]["rows"].clone(), result["network_calls"].clone()), (5.into(), 40.into()));
}

#[test]
fn a_job_of_few_rows_measures_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    write_classes(&data, (0..4).map(|row| (row, 0)));
    let (output, result) = run(folder.path(), "few", &label_from(""), &["--input", data.to_str().unwrap()]);
    let kept: Value = serde_json::from_slice(&std::fs::read(output.join("batch.json")).unwrap()).unwrap();
    assert_eq!(kept, serde_json::json!({"joint": {"rows": 16, "rates": []}}));
    assert_eq!(result["network_calls"], 10);
}

/// Two nodes that generate the same stream, with these keys.
fn twins(first: &str, second: &str) -> String {
    let node = |keys: &str| {
        format!("{{diffuse: [label], absent: [image, audio, text], sampler: {{kind: ddim, steps: 4}}{keys}}}")
    };
    let (first, second) = (node(first), node(second));
    format!("nodes:\n  one: {first}\n  two: {second}\noutputs: {{one: one.label, two: two.label}}\n")
}

#[test]
fn nodes_share_noise_only_if_the_same_seed_is_written_for_both() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, lines: &str, more: &[&str]| {
        let (output, _) = run(folder.path(), name, lines, &[&["--rows", "20"], more].concat());
        ["one", "two"].map(|column| cells(&output, column))
    };
    let [one, two] = made("unwritten", &twins("", ""), &[]);
    assert!(one.iter().zip(&two).all(|(one, two)| one != two), "each row has other noise");
    assert_eq!(made("again", &twins("", ""), &[]), [one.clone(), two.clone()], "the same from run to run");
    assert_eq!(made("zero", &twins(", seed: 0", ""), &[])[0], one, "the first node has seed 0");
    let [same, equal] = made("same", &twins(", seed: 5", ", seed: 5"), &[]);
    assert_eq!(same, equal);
    let [base, other] = made("base", &twins("", ""), &["--seed", "5"]);
    assert_eq!(base, same, "--seed is the seed of the first node");
    assert!(base != other && other != two, "and changes that of the second");
    assert_eq!(made("replaced", &twins(", seed: 1", ", seed: 1"), &["--seed", "5"]), [base, other]);
}
