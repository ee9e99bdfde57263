//! Texts that are no YAML, no file of ours, or an attack.

use anyflow_plan::style::Style;
use anyflow_plan::{FileKind, Source, kind_of, model_paths};

use crate::bench::{Case, file, snapshot, told};

fn said(text: &str) -> String {
    let source = Source::new("x.yaml", text);
    match kind_of(&source) {
        Ok(kind) => format!("{kind:?}"),
        Err(errors) => told(&errors, &[&source]),
    }
}

#[test]
fn kinds_are_told_by_keys() {
    assert_eq!(kind_of(&file("eval.yaml")).unwrap(), FileKind::Evaluation);
    assert_eq!(kind_of(&file("judges.yaml")).unwrap(), FileKind::Training);
    assert_eq!(kind_of(&file("joint.yaml")).unwrap(), FileKind::Pipeline);
    snapshot("error-no-kind", &said("anyflow: 1\nname: x\n"));
}

#[test]
fn no_yaml() {
    snapshot("error-syntax", &said("anyflow: 1\nnodes: {a: [1, 2\noutputs: {}\n"));
    snapshot("error-tabs", &said("anyflow: 1\nnodes:\n\ta: 1\n"));
    snapshot("error-empty", &said(""));
    snapshot("error-merge", &said("base: &b {a: 1}\nnodes: {<<: *b}\n"));
    snapshot("error-two-documents", &said("nodes: {}\n---\nnodes: {}\n"));
    snapshot("error-not-finite", &said("nodes: .nan\n"));
}

#[test]
fn bombs_are_refused() {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (name, of) in ["b", "c", "d", "e", "f", "g"].iter().zip(["a", "b", "c", "d", "e", "f"]) {
        text.push_str(&format!("{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n"));
    }
    assert!(kind_of(&Source::new("x.yaml", text)).is_err());
    assert!(kind_of(&Source::new("x.yaml", "[".repeat(100_000))).is_err());
    assert!(kind_of(&Source::new("x.yaml", "a: {".repeat(1_000))).is_err());
}

#[test]
fn versions() {
    Case::of("joint.yaml").edit("anyflow: 1", "anyflow: 2").check("error-version");
    Case::of("joint.yaml").edit("anyflow: 1\n", "").check("error-no-version");
}

#[test]
fn file_of_another_kind() {
    let train = file("train.yaml");
    let model = file("model.yaml");
    let errors = anyflow_plan::compile_run(&train, &model, &crate::bench::catalog(), &[]).unwrap_err();
    snapshot("error-other-kind", &told(&errors, &[&train, &model]));
}

#[test]
fn no_model_named() {
    let source = Source::new("x.yaml", "anyflow: 1\nnodes: {}\n");
    snapshot("error-no-model", &told(&model_paths(&source).unwrap_err(), &[&source]));
}

#[test]
fn numbers_and_words_keep_their_form() {
    Case::of("joint.yaml").edit("name: joint", "name: no").check("fine-word-no");
    Case::of("joint.yaml").edit("name: joint", "name: 12").check("error-number-as-name");
}

#[test]
fn long_lines_are_cut() {
    let words: Vec<String> = (0..60).map(|index| format!("word{index}")).collect();
    let to = format!("nine, {}, 7]", words.join(", "));
    Case::of("joint.yaml").edit_model("nine]", &to).check("error-long-line");
}

#[test]
fn colours_on_request() {
    let case = Case::of("joint.yaml").edit("anyflow: 1", "anyflow: 2");
    let errors = case.compile().unwrap_err();
    assert!(errors.render(&[&case.main], true).contains(Style::Red.mark()));
    assert!(!errors.render(&[&case.main], false).contains(Style::Red.mark()));
}
