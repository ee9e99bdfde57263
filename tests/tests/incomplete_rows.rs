//! Trainings on rows with null cells: a stream that a row lacks is absent there, is counted, and leaves the row out only
//! of the stages that need it.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_datasets::{Feature, OwnedCell};
use anyflow_tests::{IMAGE_LABEL_MODEL, Workspace, anyflow, digit_png, write_columns};
use serde_json::{Value, json};

const TRAINING: &str = r#"
anyflow: 1
name: tiny
model: model.yaml
seed: 5
sources: {digits: train}
data:
  rows: {columns: {image: digits.image, label: digits.label}, class: digits.label}
scorers:
  image: {stream: image, score: {use: image/classifier, classes: 10}}
stages:
  - {name: judge, train: image, objective: {kind: classify}, data: rows, steps: 60, batch: 16}
  - {name: autoencoder, train: image, objective: {kind: reconstruct, loss: l1-l2}, data: rows, steps: 60, batch: 16, optimizer: {kind: adamw, lr: 2.0e-3}}
  - {name: statistics, objective: {kind: statistics}, data: rows}
  - {name: diffusion, train: joint, objective: {kind: denoise, times: {kind: subset-shared}}, data: rows, steps: 400, batch: 32, optimizer: {kind: adamw, lr: 2.0e-3, warmup: 20}}
"#;

/// One row of digits, with or without an image and a label.
#[derive(Clone, Copy)]
struct Row {
    number: usize,
    image: bool,
    label: bool,
}

/// 200 rows, of which every fifth lacks its image and every fourth its label; 10 lack both.
fn rows() -> Vec<Row> {
    (0..200).map(|number| Row { number, image: number % 5 != 0, label: number % 4 != 0 }).collect()
}

fn workspace(rows: &[Row]) -> Workspace {
    let workspace = Workspace::new().model(IMAGE_LABEL_MODEL).training(TRAINING);
    let image = |row: &Row| OwnedCell::Bytes(digit_png(row.number % 10, row.number as u32 / 10));
    let images = rows.iter().map(|row| row.image.then(|| image(row))).collect();
    let labels = rows.iter().map(|row| row.label.then_some(OwnedCell::I64(row.number as i64 % 10))).collect();
    let columns = vec![("image", Feature::Image, images), ("label", Feature::Value("int64".into()), labels)];
    write_columns(&workspace.path("train"), columns);
    workspace
}

fn stage(result: &Value, name: &str) -> Value {
    result["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == name).unwrap().clone()
}

#[test]
fn a_missing_stream_is_absent_counted_and_leaves_a_row_out_only_where_it_is_needed() {
    let workspace = workspace(&rows());
    let trained = workspace.train("out");
    let result = trained.ok().json();
    for (name, left_out) in [("judge", json!(80)), ("autoencoder", json!(40)), ("diffusion", json!(10))] {
        let stage = stage(&result, name);
        assert_eq!(stage["rows"], 200, "{stage}");
        assert_eq!(stage["rows_without"], json!({"image": 40, "label": 50}), "{stage}");
        assert_eq!(stage["result"]["left_out"], left_out, "{stage}");
    }
    assert_eq!(stage(&result, "statistics")["result"]["image"]["rows"], 160);
    let lines = std::fs::read_to_string(workspace.path("out/metrics.jsonl")).unwrap();
    let losses: Vec<f64> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["stage"] == "diffusion")
        .map(|line| line["loss"].as_f64().unwrap())
        .collect();
    assert!(losses[losses.len() - 1] < 0.9 * losses[0], "{losses:?}");
    let lines = "nodes:\n  joint: {diffuse: [image, label]}\n  drawn: {decode: image/autoencoder, from: joint.image}\n\
                 outputs: {image: drawn}\n";
    let run = workspace.run("rows", lines, &["--rows", "6"]);
    assert_eq!((run["rows"].as_u64(), run["failed"].as_u64()), (Some(6), Some(0)));
}

#[test]
fn a_rehearsal_counts_the_rows_that_each_stage_leaves_out() {
    let workspace = workspace(&rows());
    let result = workspace.call("train", "train.yaml", "out", &["--rehearse", "--steps", "2"]).ok().json();
    for (name, left_out) in [("judge", 80), ("autoencoder", 40), ("diffusion", 10)] {
        let stage = stage(&result, name);
        assert_eq!((&stage["rows"], &stage["result"]["left_out"]), (&json!(200), &json!(left_out)), "{stage}");
    }
}

/// The stages that need a stream train on the rows that have it as if there were no others.
#[test]
fn weights_are_those_of_a_training_on_the_complete_rows() {
    let gaps = workspace(&rows());
    gaps.train("out").ok();
    let with_image: Vec<Row> = rows().into_iter().filter(|row| row.image).collect();
    let complete = workspace(&with_image);
    complete.train("out").ok();
    let tensors = |workspace: &Workspace, file: &str| workspace.tensors(&format!("out/stages/{file}.safetensors"));
    for file in ["00-judge", "01-autoencoder", "02-statistics"] {
        let (gaps, complete) = (tensors(&gaps, file), tensors(&complete, file));
        let of_image: Vec<_> = gaps.iter().filter(|(name, _)| name.contains("image")).collect();
        assert!(!of_image.is_empty(), "{file}");
        for (name, tensor) in of_image {
            assert_eq!(tensor, &complete[name], "{file}: {name}");
        }
    }
    let differ =
        tensors(&gaps, "03-diffusion").iter().any(|(name, tensor)| *tensor != tensors(&complete, "03-diffusion")[name]);
    assert!(differ, "the rows without an image train the denoiser, too");
}

#[test]
fn a_stage_whose_stream_every_row_lacks_is_refused() {
    let none: Vec<Row> = rows().into_iter().map(|row| Row { image: false, ..row }).collect();
    let refused = workspace(&none).train("out");
    let words = ["stage judge has no rows", "each of the 200 rows of table rows lacks image or the class"];
    assert!(refused.code == 2 && words.iter().all(|words| refused.out.contains(words)), "{refused:?}");
    let statistics = workspace(&none);
    statistics.rewrite("train.yaml", |yaml| {
        let stages = yaml.find("  - {name: judge").unwrap();
        let from = yaml.find("  - {name: statistics").unwrap();
        let head = yaml[..stages]
            .replace("scorers:\n  image: {stream: image, score: {use: image/classifier, classes: 10}}\n", "");
        format!("{head}{}", &yaml[from..]).replace(", class: digits.label", "")
    });
    let refused = statistics.train("out");
    assert!(refused.code == 2 && refused.out.contains("stream image has no statistics"), "{refused:?}");
}

#[test]
fn an_evaluation_leaves_incomplete_rows_out() {
    let workspace = workspace(&rows());
    workspace.train("out").ok();
    let yaml = "anyflow: 1\nname: tiny\nmodel: model.yaml\nsources: {digits: train}\ndata: {class: digits.label, columns: \
                {image: digits.image, label: digits.label}}\njudges: {image: {score: {use: image/classifier, classes: 10}, \
                weights: out/scorers.safetensors}, label: {score: label/one-hot}}\nrows: 20\nseeds: [1]\ntasks: {joint: {generate: [image, label]}}\n";
    workspace.write("eval.yaml", yaml);
    let findings = workspace.evaluate("eval.yaml", "eval");
    assert_eq!(findings.judges["image"].rows, 120, "150 rows have a label, 120 of these an image");
}

#[test]
fn few_rows_of_one_class_are_told() {
    let workspace = workspace(&[3, 13, 23].map(|number| Row { number, image: true, label: true }));
    workspace.rewrite("train.yaml", |yaml| yaml.replace("steps: 60", "steps: 2").replace("steps: 400", "steps: 2"));
    let [file, output] = ["train.yaml", "out"].map(|name| workspace.path(name).into_os_string());
    let trained = anyflow(["train".into(), file, "--output".into(), output, "--threads".into(), "1".into()]).ok();
    for (words, times) in [
        ("3 rows are fewer than the batch of 16", 2),
        ("3 rows are fewer than the batch of 32", 1),
        ("stage judge: all rows have class 3", 1),
        ("stream label: 10 of 10 latent coordinates are the same in all rows", 1),
    ] {
        assert_eq!(trained.err.matches(words).count(), times, "{words}: {}", trained.err);
    }
}
