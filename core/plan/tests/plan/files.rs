//! The parameter `files` of a component: a path in the plan, read by the engine alone.

use anyflow_plan::plan::{Job, Model};
use anyflow_plan::{Source, compile_model, includes, resolved_files};
use serde_json::{Value, json};

use crate::bench::Case;

const AUDIO: &str = "image-to-audio.yaml";

/// A case whose codec of words also wants files, and names `files`.
fn case(files: &str) -> Case {
    let mut case = Case::of(AUDIO).edit_model("use: text/words\n", &format!("use: text/words\n      files: {files}\n"));
    case.catalog.plugins["text"].0.codecs[0]
        .parameters
        .insert("files".into(), json!({"type": "object", "format": "files"}));
    case
}

fn path(model: &Model) -> Value {
    model.streams["text"].codec.parameters["files"].clone()
}

fn planned(case: &Case) -> Model {
    let Ok((Job::Run(plan), _)) = case.compile() else { panic!("{}", case.said()) };
    plan.model
}

#[test]
fn files_are_relative_to_the_file_that_names_them() {
    assert_eq!(path(&planned(&case("words"))), "mld/words");
    assert_eq!(path(&planned(&case("/models/words"))), "/models/words");
    let listed = case("words.txt");
    assert_eq!(path(&planned(&listed)), "mld/words.txt", "not a list of words");
    assert!(includes(&listed.model).words.is_empty());
    assert_eq!(path(&planned(&case("words").set("model.streams.text.codec.files=other"))), "mld/other");

    let base = Source::new("mld/small/../model.yaml", case("words").model.text);
    let text = "anyflow: 1\nname: small\nfrom: ../model.yaml\n";
    let derived = Source { includes: vec![base], ..Source::new("mld/small/model.yaml", text) };
    let catalog = case("words").catalog;
    assert_eq!(path(&compile_model(&derived, &catalog, &[]).unwrap().0), "mld/small/../words");
}

#[test]
fn files_that_were_moved_are_the_same_job() {
    let [one, other] = ["words", "/elsewhere/words"].map(|files| case(files).compile().unwrap().0);
    assert_ne!(one, other);
    assert_eq!(one.without_paths(), other.without_paths());
}

#[test]
fn resolved_files_name_files_from_anywhere() {
    let case = case("words");
    let [_, model] = resolved_files(&case.main, &case.model, &[], "/project").unwrap();
    assert!(model.text.contains("files: /project/mld/words"), "{}", model.text);
}

#[test]
fn only_a_path_is_accepted() {
    for wrong in ["5", "[a, b]", "{a.txt: one}"] {
        assert!(case(wrong).said().contains("the path of a file or folder"), "{}", case(wrong).said());
    }
}
