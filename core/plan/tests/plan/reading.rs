//! A stream that reads the features of another's network, and is recovered to tell classes.

use anyflow_plan::plan::{Job, Op};
use anyflow_plan::{Format, explain};

use crate::bench::{Case, catalog, file, snapshot, text};

fn reading(name: &str) -> Case {
    let main = file(&format!("read/{name}.yaml"));
    let model = file("read/model.yaml");
    Case { main, model, others: Vec::new(), catalog: catalog(), overrides: Vec::new() }
}

#[test]
fn every_file_compiles() {
    for name in ["classify", "train", "eval"] {
        let (job, warnings) = reading(name).compile().unwrap_or_else(|errors| panic!("{}", errors.render(&[], false)));
        assert_eq!(warnings, [], "{name}");
        snapshot(&format!("plan-read-{name}"), &text(&job));
        assert_eq!(serde_json::from_str::<Job>(&explain(&job, Format::Json)).unwrap(), job, "{name}");
        assert!(explain(&job, Format::Svg).contains("query"), "{name}");
    }
}

#[test]
fn classes_are_filled_into_templates_and_only_ports_that_are_read_are_made() {
    let op = |case: Case| {
        let Ok((Job::Run(plan), _)) = case.compile() else { panic!("{}", case.said()) };
        plan.steps.into_iter().map(|step| step.op).find(|op| matches!(op, Op::Score { .. })).unwrap()
    };
    let Op::Score { scoring, label, scores, .. } = op(reading("classify")) else { panic!() };
    assert_eq!(scoring.classes["one"], ["a one", "a red one"]);
    assert_eq!((label.as_deref(), scores.as_deref()), (Some("class.label"), Some("class.scores")));
    let plain =
        reading("classify").edit(", templates: [\"a {}\", \"a red {}\"]", "").edit(", scores: class.scores", "");
    let Op::Score { scoring, scores, .. } = op(plain) else { panic!() };
    assert_eq!((&scoring.classes["one"], scores), (&vec!["one".to_string()], None));
}

#[test]
fn a_scoring_must_make_sense() {
    for (name, from, to) in [
        ("stream", "score: query", "score: quary"),
        ("numbers", "score: query, observe: {image: seen}", "score: image, observe: {query: seen}"),
        ("template", "\"a {}\"", "\"a one\""),
        ("classes", "[zero, one]", "[zero, zero]"),
        ("single", "[zero, one]", "[zero]"),
        ("port", "class.label", "class.name"),
        ("no-port", "class.label", "class"),
        ("from", "observe: {image: seen}", "observe: {image: picture}"),
        ("draws", "samples: 3", "samples: 0"),
    ] {
        reading("classify").edit(from, to).check(&format!("error-score-{name}"));
    }
    reading("eval").edit(", class: digits.label", "").check("error-score-class");
    reading("eval").edit(", query: digits.text", "").check("error-score-own");
}

#[test]
fn what_is_read_must_be_there() {
    for (name, from, to) in [
        ("site", "sites: [block.0, middle, last]", "sites: [block.3, midle]"),
        ("no-site", "sites: [block.0, middle, last]", "sites: []"),
        ("stream", "stream: image, sites", "stream: images, sites"),
        ("itself", "stream: image, sites", "stream: query, sites"),
        ("kind", "query: {kind: residual-mlp, width: 64, blocks: 2}", "query: {kind: unet-mlp}"),
    ] {
        reading("classify").edit_model(from, to).check(&format!("error-read-{name}"));
    }
}

#[test]
fn patterns_and_contrast_name_streams_that_take_part() {
    let noisy = "{image: clean, query: noisy}";
    reading("train").edit(noisy, "{image: clean, quary: noisy}").check("error-pattern-stream");
    reading("train").edit(noisy, "{image: clean, query: absent}").check("error-pattern-idle");
    reading("train").edit(noisy, "{image: clean, query: loud}").check("error-pattern-state");
    reading("train").edit("stream: query, weight", "stream: picture, weight").check("error-contrast-stream");
    reading("train").edit("train: [query, picture]", "train: [image, pictur]").check("error-contrast-names");
    reading("train").edit("shapes: shapes", "shapes: shape").check("error-shapes");
    reading("train").edit("generate: captions", "generate: glyphs").check("error-generator-key");
}
