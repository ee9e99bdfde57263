//! Plans as text, JSON, Mermaid and SVG.

use anyflow_plan::{Format, explain};

use crate::bench::{Case, names, snapshot, text};

#[test]
fn formats_of_a_run() {
    let (job, _) = Case::of("image-audio-to-label.yaml").compile().unwrap();
    snapshot("explain-run-json", &explain(&job, Format::Json));
    snapshot("explain-run-mermaid", &explain(&job, Format::Mermaid));
    snapshot("explain-run-svg", &explain(&job, Format::Svg));
}

#[test]
fn all_options_are_printed_on_request() {
    for (name, option) in [("joint", "eta 0.0"), ("train", "weight_decay 0.0"), ("eval", "sample_rate 8000")] {
        let (job, _) = Case::of(&format!("{name}.yaml")).compile().unwrap();
        let full = explain(&job, Format::Full);
        let changed = text(&job);
        assert!(full.contains(option) && !changed.contains(option), "{name}: {full}{changed}");
    }
    let (job, _) = Case::of("joint.yaml").set("joint.sampler.eta=0.5").set("joint.seed=3").compile().unwrap();
    assert!(text(&job).contains("ddim (eta 0.5); seed 3"), "{}", text(&job));
}

#[test]
fn diagrams_of_trainings_and_evaluations() {
    for name in ["train.yaml", "eval.yaml"] {
        let (job, _) = Case::of(name).compile().unwrap();
        let stem = name.trim_end_matches(".yaml");
        snapshot(&format!("explain-{stem}-mermaid"), &explain(&job, Format::Mermaid));
    }
}

/// No boxes overlap, and all are inside the diagram.
#[test]
fn boxes_do_not_overlap() {
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
