//! The output of `data inspect` and `data head`.

use crate::support::{every_feature, numbered, open, write};
use anyflow_datasets::{head, inspect};
use serde_json::{Value, json};

#[test]
fn numbers_come_from_the_footers() {
    let folder = tempfile::tempdir().unwrap();
    numbered(&folder.path().join("a.parquet"), 5, 7, 3);
    numbered(&folder.path().join("b.parquet"), -2, 5, 4);
    let inspection = inspect(&open(folder.path()));
    assert_eq!(inspection.rows, 12);
    assert_eq!(inspection.files[0].row_group_rows, [3, 3, 1]);
    let id = &inspection.columns[0];
    assert_eq!((id.min.clone(), id.max.clone(), id.nulls), (Some(json!(-2)), Some(json!(11)), Some(0)));
    let image = &inspection.columns[1];
    assert_eq!((image.feature.as_str(), image.nulls, image.min.clone()), ("image", Some(0), None));
    assert!(image.compressed_bytes > 0);
}

#[test]
fn every_feature_has_numbers_and_nulls() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.parquet");
    let (batch, features) = every_feature();
    write(&path, &batch, &features);
    let inspection = serde_json::to_value(inspect(&open(&path))).unwrap();
    let column = |name: &str| {
        let columns = inspection["columns"].as_array().unwrap();
        columns.iter().find(|column| column["name"] == name).unwrap().clone()
    };
    for name in ["image", "audio", "label", "text", "score", "flag"] {
        assert_eq!(column(name)["nulls"], 1, "{name}");
    }
    assert_eq!(column("label")["classes"], json!(["cat", "dog"]));
    assert_eq!(column("small")["max"], 200);
    assert_eq!(column("score")["min"], 0.25);
    assert_eq!(column("text")["min"], "zwölf");
    assert_eq!(column("words")["nulls"], Value::Null);
    assert_eq!(column("points")["feature"], "list of list of float32");
    assert_eq!((&column("points")["nulls"], &column("points")["max"]), (&Value::Null, &Value::Null));
    assert_eq!(column("image")["compression"], json!(["zstd"]));
}

#[test]
fn rows_are_shown_short() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.parquet");
    let (batch, features) = every_feature();
    write(&path, &batch, &features);
    let rows = head(&open(&path), 1).unwrap();
    let gif = json!({"media_type": "image/gif", "width_px": 1, "height_px": 1, "size_bytes": 43});
    let expected = json!({
        "id": 0,
        "image": gif,
        "audio": {"media_type": "audio/wav", "sampling_rate": 8000, "duration_secs": 0.01, "size_bytes": 204},
        "video": gif,
        "label": {"class": 1, "name": "dog"},
        "text": "zwölf",
        "blob": {"size_bytes": 2, "hex": "00ff"},
        "small": 200,
        "flag": 1,
        "score": 0.25,
        "exact": 0.1,
        "counts": [3, -4],
        "points": [[1.0, 2.0], [], [0.25]],
        "triple": [0.5, 1.0, 1.5],
        "words": ["a", "b"],
        "frames": [gif],
    });
    assert_eq!(Value::Object(rows[0].clone()), expected);
    let all = head(&open(&path), 99).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[1]["image"], Value::Null);
}
