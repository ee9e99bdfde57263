//! Plans as JSON, mermaid and SVG.

use anyflow_plan::{Format, explain};

use crate::bench::{Case, names, snapshot};

#[test]
fn formats_of_a_run() {
    let (job, _) = Case::of("image-audio-to-label.yaml").compile().unwrap();
    snapshot("explain-run-json", &explain(&job, Format::Json));
    snapshot("explain-run-mermaid", &explain(&job, Format::Mermaid));
    snapshot("explain-run-svg", &explain(&job, Format::Svg));
}

#[test]
fn pictures_of_trainings_and_evaluations() {
    for name in ["train.yaml", "eval.yaml"] {
        let (job, _) = Case::of(name).compile().unwrap();
        let stem = name.trim_end_matches(".yaml");
        snapshot(&format!("explain-{stem}-mermaid"), &explain(&job, Format::Mermaid));
    }
}

/// No box lies over another, and all lie inside the picture.
#[test]
fn boxes_lie_apart() {
    for name in names().iter().filter(|name| *name != "model.yaml") {
        let (job, _) = Case::of(name).compile().unwrap();
        let svg = explain(&job, Format::Svg);
        let numbers = |line: &str, keys: [&str; 4]| {
            keys.map(|key| {
                let (_, rest) = line.split_once(&format!(" {key}=\"")).unwrap();
                rest.split('"').next().unwrap().parse::<f64>().unwrap()
            })
        };
        let boxes: Vec<[f64; 4]> = svg
            .lines()
            .filter(|line| line.starts_with("<rect"))
            .map(|line| numbers(line, ["x", "y", "width", "height"]))
            .collect();
        let [_, _, width, height] = {
            let whole = svg.lines().next().unwrap();
            let [w, h, ..] = numbers(whole, ["width", "height", "width", "height"]);
            [0.0, 0.0, w, h]
        };
        for (index, a) in boxes.iter().enumerate() {
            assert!(a[0] >= 0.0 && a[1] >= 0.0 && a[0] + a[2] <= width && a[1] + a[3] <= height, "{name}");
            for b in &boxes[index + 1..] {
                let apart = a[0] + a[2] <= b[0] || b[0] + b[2] <= a[0] || a[1] + a[3] <= b[1] || b[1] + b[3] <= a[1];
                assert!(apart, "{name}: {a:?} {b:?}");
            }
        }
    }
}
