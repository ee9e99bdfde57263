//! A small output of a run, a training and an evaluation, and the page made of them.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use anyflow_datasets::{
    Expected, Failure, Feature, Features, Folder, JobId, OutputDir, OwnedCell, TableWriter, column_from_cells,
};
use anyflow_plan::plan::PLAN_FORMAT;
use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use serde_json::json;

use super::page;

const ROWS: usize = 10;

fn image(row: usize) -> Vec<u8> {
    let size = 28_i32;
    let radius = 4 + row as i32;
    let pixel = |i: i32| {
        let x = i % size - 14;
        let y = i / size - 14;
        let far = x * x + y * y - radius * radius;
        if far.abs() < radius * 3 { 255 } else { 12_u8 }
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size as u32, size as u32);
    encoder.set_color(png::ColorType::Grayscale);
    let pixels: Vec<u8> = (0..size * size).map(pixel).collect();
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

/// A falling tone with an overtone.
fn sound(row: usize) -> Vec<u8> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    let mut phase = 0.0_f64;
    for i in 0..4000 {
        let t = f64::from(i) / 4000.0;
        phase += (300.0 + 200.0 * row as f64 * (1.0 - t)) / 8000.0 * std::f64::consts::TAU;
        let loud = (t * std::f64::consts::PI).sin();
        writer.write_sample(((phase.sin() + 0.3 * (2.0 * phase).sin()) * loud * 12000.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

/// Name, feature, and the cell of a row.
type Column = (&'static str, Feature, fn(usize) -> OwnedCell);

fn output(folder: &Path) {
    let names: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let columns: [Column; 5] = [
        ("id", Feature::Value("int64".into()), |row| OwnedCell::I64(100 + row as i64)),
        ("image", Feature::Image, |row| OwnedCell::Bytes(image(row))),
        ("label", Feature::ClassLabel { names }, |row| OwnedCell::I64(row as i64)),
        ("sound", Feature::Audio { sampling_rate: Some(8000) }, |row| OwnedCell::Bytes(sound(row))),
        ("text", Feature::Value("string".into()), |row| OwnedCell::Utf8(format!("number <{row}>"))),
    ];
    write_columns(folder, &columns);
}

fn batch(columns: &[Column]) -> (RecordBatch, Features) {
    let features: Features = columns.iter().map(|(name, feature, ..)| (name.to_string(), feature.clone())).collect();
    let schema = Arc::new(Schema::clone(&features.to_schema().unwrap()));
    let arrays = columns.iter().map(|(_, feature, cell)| {
        let cells: Vec<_> = (0..ROWS).map(|row| (row != 3).then(|| cell(row))).collect();
        column_from_cells(&cells, feature).unwrap()
    });
    (RecordBatch::try_new(schema, arrays.collect()).unwrap(), features)
}

fn write_columns(folder: &Path, columns: &[Column]) {
    let (batch, features) = batch(columns);
    let failure = Failure {
        row_key: "110".into(),
        row: 10,
        node: "seen".into(),
        code: "cell".into(),
        text: "column image: the PNG ends after 12 bytes".into(),
    };
    let expected = Expected { shards: 1, rows: batch.num_rows() as u64 + 1 };
    let dir = OutputDir::open(Folder::open(folder).unwrap(), &JobId::default().with("test", "f"), expected).unwrap();
    let mut shard = dir.shard(0, &features).unwrap();
    shard.write(&batch).unwrap();
    shard.commit(&[failure]).unwrap();
    dir.finish().unwrap();
}

fn plan() -> serde_json::Value {
    let cells = |modality: &str, cell: &str, feature: &str| json!({"modality": modality, "form": "cells", "cell": cell, "feature": feature});
    let array = |modality: &str| json!({"modality": modality, "form": "array", "dtype": "f32", "axes": ["n"], "shape": [8], "range": null});
    let latent = |stream: &str| json!({"modality": stream, "form": "latent", "stream": stream, "shape": [8]});
    let component = |id: &str| json!({"plugin": "p", "id": id, "library": "libp.so", "parameters": {}});
    let stream = |name: &str, cell: &str, feature: &str| {
        json!({"modality": name, "codec": component("codec"), "cells": cells(name, cell, feature), "array": array(name),
               "module": component("autoencoder"), "latent": [8]})
    };
    let value = |kind: serde_json::Value, by: Option<usize>| json!({"type": kind, "made_by": by, "last_use": null});
    json!({
        "job": "run", "format": PLAN_FORMAT, "name": "image-to-sound", "source": "pipelines/image-to-sound.yaml",
        "model": {
            "name": "digits", "source": "pipelines/model.yaml", "checkpoint": "weights/model.safetensors",
            "streams": {"image": stream("image", "bytes", "Image"), "audio": stream("audio", "bytes", "Audio")},
            "denoisers": {"joint": {"over": ["image", "audio"], "network": {"kind": "residual-mlp"}, "predict": "x0",
                                    "schedule": {"kind": "vp-linear"}, "precision": "f32"}},
        },
        "inputs": {"image": {"column": "image", "type": cells("image", "bytes", "Image")}},
        "values": {
            "image": value(cells("image", "bytes", "Image"), None), "image.array": value(array("image"), Some(0)),
            "seen": value(latent("image"), Some(1)), "joint.audio": value(latent("audio"), Some(2)),
            "sound.array": value(array("audio"), Some(3)), "sound": value(cells("audio", "bytes", "Audio"), Some(4)),
        },
        "steps": [
            {"node": "seen", "op": "read-cells", "stream": "image", "from": "image", "to": "image.array"},
            {"node": "seen", "op": "module", "stream": "image", "role": "encode", "from": "image.array", "to": "seen"},
            {"node": "joint", "op": "diffuse", "denoiser": "joint",
             "streams": {"audio": {"role": "generate"}, "image": {"role": "observe", "from": "seen"}},
             "sampler": {"kind": "ddim", "steps": 50}, "seed": 7, "to": {"audio": "joint.audio"}},
            {"node": "sound", "op": "module", "stream": "audio", "role": "decode", "from": "joint.audio", "to": "sound.array"},
            {"node": "sound", "op": "write-cells", "stream": "audio", "from": "sound.array", "to": "sound"},
        ],
        "outputs": {"sound": "sound", "text": "sound"}, "bytes_per_row": 4096,
    })
}

fn run(folder: &Path) {
    output(folder);
    let order = json!({"format": PLAN_FORMAT, "job": plan(), "output": "out", "inputs": ["digits.parquet"], "shard_rows": 1024,
                       "device": "cpu", "threads": 2});
    std::fs::write(folder.join("order.json"), order.to_string()).unwrap();
    let written = json!({"checkpoint_blake3": "5f".repeat(32), "device": "cpu", "finished_unix": 1_800_000_000,
        "versions": {"anyflow": "0.1.0", "libtorch": "2.11.0"},
        "result": {"rows": 10, "failed": 1, "shards": 1, "seconds": 0.62, "rows_per_second": 16.1}});
    std::fs::write(folder.join("run.json"), written.to_string()).unwrap();
}

fn training(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let mut lines = String::new();
    for stage in ["image-autoencoder", "diffusion"] {
        for i in 1..=200 {
            let noise = ((i * 7919) % 97) as f64 / 97.0;
            let loss = (1.0 + 0.4 * noise) * (0.02 + (-f64::from(i) / 25.0).exp());
            let line = json!({"stage": stage, "step": i * 50, "loss": loss, "gradient_norm": 0.5 + noise,
                              "lr": 1e-3 * (f64::from(200 - i) / 200.0), "seconds": f64::from(i) * 0.4});
            lines += &format!("{line}\n");
        }
    }
    std::fs::write(folder.join("metrics.jsonl"), lines + "{\"cut").unwrap();
    let stage =
        |name: &str| json!({"stage": name, "steps": 10000, "rows": 60000, "seconds": 80.0, "result": {"loss": 0.021}});
    let summary = json!({"name": "digits", "stages": [stage("image-autoencoder"), stage("diffusion")], "model": "model.safetensors"});
    std::fs::write(folder.join("train.json"), summary.to_string()).unwrap();
}

fn evaluation(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let result = serde_json::to_value(super::tables::tests::example()).unwrap();
    std::fs::write(folder.join("eval.json"), result.to_string()).unwrap();
}

#[test]
fn a_folder_of_everything_becomes_one_page() {
    let folder = tempfile::tempdir().unwrap();
    run(&folder.path().join("run"));
    training(&folder.path().join("training"));
    evaluation(&folder.path().join("evaluation"));
    let page = page(folder.path(), 48).unwrap();
    assert_eq!(page.sections, ["image-to-sound", "digits-eval", "digits"]);
    let html = &page.html;
    assert_eq!(html.matches("<article").count(), ROWS);
    assert_eq!(html.matches("data:audio/wav").count(), ROWS - 1, "one row is null");
    assert_eq!(html.matches("data:image/png").count(), 2 * (ROWS - 1), "images and spectrograms");
    assert!(html.contains("number &lt;7&gt;"), "values are escaped");
    assert!(html.contains("the PNG ends after 12 bytes") && html.contains(&"5f".repeat(32)));
    assert_eq!(html.matches("class=\"cell given\"").count(), ROWS, "roles are marked");
    assert_eq!(html.matches("class=\"place\"").count(), 2 * 3, "tiles and headings name the folder of their section");
    assert!(html.contains("Content-Security-Policy\" content=\"default-src 'none'; img-src data:; media-src data:; "));
    for outside in ["http://", "https://", "<script", "src=\"/"] {
        let found = html.replace("http://www.w3.org/2000/svg", "").contains(outside);
        assert!(!found, "the page needs {outside}");
    }
}

#[test]
fn an_evaluation_shows_samples_and_predicted_classes() {
    let folder = tempfile::tempdir().unwrap();
    evaluation(folder.path());
    let columns: [Column; 4] = [
        ("image", Feature::Image, |row| OwnedCell::Bytes(image(row))),
        ("class", Feature::Value("string".into()), |row| OwnedCell::Utf8(format!("digit {row}"))),
        ("sound", Feature::Audio { sampling_rate: None }, |row| OwnedCell::Bytes(sound(row))),
        ("predicted class of sound", Feature::Value("string".into()), |row| OwnedCell::Utf8(format!("digit {row}"))),
    ];
    std::fs::create_dir(folder.path().join("samples")).unwrap();
    let (rows, features) = batch(&columns);
    let file = folder.path().join("samples/0.parquet");
    let mut writer = TableWriter::create(&file, &rows.schema(), &features).unwrap();
    writer.write(&rows).unwrap();
    writer.finish().unwrap();
    let page = page(folder.path(), 4).unwrap();
    assert_eq!(page.sections, ["digits-eval"], "the samples are a part of the evaluation");
    let html = page.html;
    assert_eq!(html.matches("<article").count(), 4);
    assert!(html.contains("Samples of image-to-sound") && !html.contains("Samples of joint"));
    assert_eq!(html.matches("class=\"cell given\"").count(), 4, "the image is observed");
    assert_eq!(html.matches("class=\"cell made sound\"").count(), 4, "the sound is generated");
    assert!(html.contains("predicted class of sound digit 2"));
    assert!(html.contains("Predicted classes of image-to-sound, sound, mld"));
    assert_eq!(html.matches("<td class=\"right\" style=\"--share: 0.67\">2</td>").count(), 2, "one per variant");
}

#[test]
fn images_in_a_column_of_plain_bytes_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = || Feature::Value("binary".into());
    let columns: [Column; 2] = [
        ("scan", bytes(), |row| OwnedCell::Bytes(image(row))),
        ("digest", bytes(), |row| OwnedCell::Bytes(vec![row as u8; 8])),
    ];
    write_columns(folder.path(), &columns);
    let html = page(folder.path(), 48).unwrap().html;
    assert_eq!(html.matches("data:image/png").count(), ROWS - 1, "one row is null");
}

#[test]
fn a_run_in_progress_shows_committed_rows() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path());
    std::fs::remove_file(folder.path().join("manifest.json")).unwrap();
    let page = page(folder.path(), 2).unwrap();
    assert!(page.html.contains("unfinished"));
    assert_eq!(page.html.matches("<article").count(), 2);
}

#[test]
fn an_empty_folder_is_an_error_and_broken_files_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let error = page(folder.path(), 1).err().unwrap();
    assert_eq!(error.exit_code(), 2);
    std::fs::write(folder.path().join("eval.json"), "{").unwrap();
    std::fs::write(folder.path().join("rows.parquet"), "no parquet").unwrap();
    let html = page(folder.path(), 1).unwrap().html;
    assert_eq!(html.matches("class=\"trouble\"").count(), 2, "{html}");
}
