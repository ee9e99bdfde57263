//! A modality that the core does not know: drawings as nested lists of numbers, from a column to the shipped pipelines.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};

use anyflow_datasets::{Cell, CellKind, Dataset, Feature, OwnedCell, OwnedList};
use anyflow_plan::plan::{Form, Type};
use anyflow_runtime::plugin::{Codec, LoadedPlugins};
use anyflow_tests::{anyflow, component, write_columns};
use serde_json::json;

type Point = [f64; 2];

fn drawing(strokes: &[Vec<Point>]) -> OwnedList {
    let points: Vec<u64> = strokes.iter().map(|stroke| stroke.len() as u64).collect();
    let mut lengths = vec![strokes.len() as u64];
    for count in points {
        lengths.push(count);
        lengths.extend((0..count).map(|_| 2));
    }
    OwnedList::new(3, strokes.iter().flatten().flatten().copied().collect(), lengths).unwrap()
}

fn codec() -> Codec {
    let form = Form::Array { dtype: "f32".into(), axes: Vec::new(), shape: vec![6, 3], range: None };
    let array = Type { modality: "trajectory".into(), form };
    Codec::new(&mut LoadedPlugins::default(), &component("trajectory/strokes", json!({"points": 6})), &array).unwrap()
}

#[test]
fn lists_cross_the_border_and_come_back() {
    let cross = drawing(&[vec![[0.0, -1.0], [0.0, 1.0]], vec![[-0.5, 0.0], [0.5, 0.0]]]);
    let none = OwnedList::new(3, Vec::new(), vec![0]).unwrap();
    let cells = [Some(Cell::List(cross.as_list())), None, Some(Cell::List(none.as_list())), Some(Cell::I64(3))];
    let codec = codec();
    let (array, failed) = codec.encode(&cells, 2).unwrap();
    let texts: Vec<&str> = failed.iter().map(|row| row.text.as_str()).collect();
    assert_eq!(failed.iter().map(|row| row.row).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(texts[1].contains("no points") && texts[2].contains("an integer, not a list"), "{texts:?}");
    let decoded = codec.decode(&array.narrow(0, 0, 1), 1).unwrap();
    let Ok(OwnedCell::List(back)) = &decoded[0] else { panic!("{decoded:?}") };
    assert_eq!(back.as_list().lengths(), [2, 4, 2, 2, 2, 2, 2, 2, 2]);
    let again = codec.encode(&[Some(Cell::List(back.as_list()))], 1).unwrap().0;
    let off = (again - array.narrow(0, 0, 1)).abs().max().double_value(&[]);
    assert!(off < 1e-6, "{off}"); // f32
}

fn pipeline(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../pipelines/mld/trajectory")).join(name)
}

fn list_of(feature: Feature) -> Feature {
    Feature::List(Box::new(feature))
}

#[test]
fn a_column_of_other_lists_is_refused_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("flat");
    let cell = OwnedCell::List(OwnedList::new(1, vec![1.0], vec![1]).unwrap());
    write_columns(&input, vec![("strokes", list_of(Feature::Value("float32".into())), vec![Some(cell)])]);
    let file = pipeline("trajectory-to-image.yaml");
    let words = ["run".as_ref(), file.as_os_str(), "--input".as_ref(), input.as_os_str(), "--output".as_ref()];
    let output = anyflow(words.into_iter().chain([folder.path().join("out").as_os_str()]));
    assert_eq!(output.code, 2, "{}", output.err);
    assert!(output.err.contains("lists of lists of lists of numbers"), "{}", output.err);
}

fn run(name: &str, output: &Path, more: &[&str]) {
    let file = pipeline(name);
    let words = ["run".as_ref(), file.as_os_str(), "--output".as_ref(), output.as_os_str()];
    let more = more.iter().chain(&["--threads", "1"]).map(std::ffi::OsStr::new);
    anyflow(words.into_iter().chain(more)).ok();
}

/// The points of each row's drawing.
fn points(folder: &Path, name: &str) -> Vec<Vec<Point>> {
    let dataset = Dataset::open(&[folder.to_path_buf()]).unwrap();
    assert_eq!(dataset.column(name).unwrap().cell(), Some(CellKind::List(3)));
    let mut drawings = Vec::new();
    for batch in dataset.read(Some(&[name]), 0..dataset.rows(), 64).unwrap() {
        let cells = dataset.cells(&batch.unwrap(), name).unwrap();
        drawings.extend((0..cells.len()).map(|row| match cells.get(row).unwrap() {
            Some(Cell::List(list)) => list.values().as_chunks::<2>().0.to_vec(),
            other => panic!("{other:?}"),
        }));
    }
    drawings
}

/// Symmetric mean distance from the points of one drawing to the nearest points of the other.
fn chamfer(a: &[Point], b: &[Point]) -> f64 {
    let to = |from: &[Point], to: &[Point]| {
        let nearest = |p: &Point| to.iter().map(|q| (p[0] - q[0]).hypot(p[1] - q[1])).fold(f64::INFINITY, f64::min);
        from.iter().map(nearest).sum::<f64>() / from.len() as f64
    };
    (to(a, b) + to(b, a)) / 2.0
}

/// A drawing generated from an image is closer to that row's own drawing than to another row's.
#[test]
fn a_drawing_belongs_to_its_image() {
    let folder = tempfile::tempdir().unwrap();
    let [joint, drawn] = ["joint", "drawn"].map(|name| folder.path().join(name));
    run("joint.yaml", &joint, &["--rows", "24", "--set", "joint.sampler.steps=20"]);
    let given = joint.display().to_string();
    run("image-to-trajectory.yaml", &drawn, &["--input", &given, "--set", "joint.sampler.steps=20"]);
    let real = points(&drawn, "strokes");
    let made = points(&drawn, "drawn");
    assert_eq!((real.len(), made.len()), (24, 24));
    let nearer = (0..24).filter(|&row| chamfer(&made[row], &real[row]) < chamfer(&made[row], &real[(row + 7) % 24]));
    let nearer = nearer.count();
    assert!(nearer >= 20, "{nearer} of 24");
}
