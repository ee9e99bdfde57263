//! Options and messages of the commands, on a tiny project.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_datasets::Dataset;
use anyflow_tests::{Numbers, Output, command_in};

fn run(numbers: &Numbers, output: &str, more: &[&str]) -> Output {
    numbers.call(&[], &[&Numbers::run_of("rows.parquet", output), more].concat())
}

#[test]
fn a_seed_is_the_seed_of_every_node_that_draws_noise() {
    let numbers = Numbers::new();
    run(&numbers, "long", &["--set", "joint.seed=9"]).ok();
    run(&numbers, "short", &["--seed", "9"]).ok();
    run(&numbers, "file", &[]).ok();
    let rows = |output: &str| numbers.files(&format!("{output}/data"));
    assert!(rows("short") == rows("long") && rows("short") != rows("file"));
    // Both name one job, and what the user sets comes last.
    run(&numbers, "long", &["--seed", "9"]).ok();
    run(&numbers, "file", &["--seed", "9", "--set", "joint.seed=7"]).ok();
    let refused = run(&numbers, "long", &["--seed", "8"]);
    assert!(refused.code == 2 && refused.err.contains("joint.seed: 8 now, 9 then"), "{}", refused.err);

    numbers.call(&[], &["train", "train.yaml", "--output", "trained", "--set", "seed=6"]).ok();
    numbers.call(&[], &["train", "train.yaml", "--output", "trained", "--seed", "6"]).ok();
    let refused = numbers.call(&[], &["train", "train.yaml", "--output", "trained"]);
    assert!(refused.code == 2 && refused.err.contains("seed: 5 now, 6 then"), "{}", refused.err);
}

#[test]
fn the_last_lines_of_a_run_say_where_the_rows_are() {
    let numbers = Numbers::new();
    let output = run(&numbers, "made", &[]).ok();
    let last: Vec<&str> = output.out.lines().rev().take(2).collect();
    assert_eq!(last, ["view them with: anyflow report made", "rows: made/data (3 files)"]);
    assert_eq!(numbers.files("made/data").len(), 3);
}

#[test]
fn check_and_run_note_outputs_that_replace_input_columns() {
    let numbers = Numbers::new();
    let made = run(&numbers, "made", &[]).ok();
    assert!(made.err.contains("output `value` replaces the input column `value`"), "{}", made.err);
    let checked = numbers.call(&[], &["check", "pipeline.yaml", "--input", "rows.parquet"]).ok();
    assert!(checked.out.contains("note: output `value` replaces the input column `value`"), "{}", checked.out);
    let json = numbers.call(&[], &["check", "pipeline.yaml", "--input", "rows.parquet", "--json"]).ok().json();
    assert_eq!(json["replaced_columns"], serde_json::json!(["value"]));
    numbers.edit("pipeline.yaml", "outputs: {value: back", "outputs: {other: back");
    let checked = numbers.call(&[], &["check", "pipeline.yaml", "--input", "rows.parquet"]).ok();
    assert!(!checked.out.contains("replaces"), "{}", checked.out);
}

#[test]
fn overrides_reach_the_model() {
    let numbers = Numbers::new();
    numbers.call(&[], &["check", "model.yaml", "--set", "denoisers.only.network.width=16"]).ok();
    for arguments in [
        ["check", "model.yaml", "--set", "denoisers.only.network.width=none"],
        ["check", "pipeline.yaml", "--set", "model.denoisers.only.network.width=none"],
        ["check", "train.yaml", "--set", "model.denoisers.only.network.width=none"],
    ] {
        let refused = numbers.call(&[], &arguments);
        assert!(refused.code == 2 && refused.err.contains("`width`"), "{arguments:?}: {}", refused.err);
    }
}

#[test]
fn another_kind_of_sampler_drops_the_keys_that_it_lacks() {
    let numbers = Numbers::new();
    numbers.edit("pipeline.yaml", "steps: 2}", "steps: 2, eta: 1.0}");
    let output = run(&numbers, "made", &["--set", "joint.sampler.kind=dpmpp-2m"]).ok();
    assert!(output.err.contains("`eta` has no effect"), "{}", output.err);
}

#[test]
fn an_unknown_plugin_names_the_folders_that_were_searched() {
    let numbers = Numbers::new();
    let empty = numbers.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let variables = [("ANYFLOW_PLUGINS", empty.as_os_str())];
    let refused = Output::of(command_in(&numbers.path(""), &variables, ["check", "model.yaml"]));
    assert_eq!(refused.code, 2);
    for part in ["unknown plugin `scaled`", "were searched in", &empty.display().to_string(), "ANYFLOW_PLUGINS"] {
        assert!(refused.err.contains(part), "{part}: {}", refused.err);
    }
}

#[test]
fn keep_names_the_input_columns_that_pass_through() {
    let numbers = Numbers::new();
    numbers.edit("pipeline.yaml", "outputs: {value: back, made: fresh}", "outputs: {same: seen, made: fresh}");
    let columns = |output: &str| -> Vec<String> {
        let dataset = Dataset::open(&[numbers.path(output)]).unwrap();
        dataset.features().keys().cloned().collect()
    };
    run(&numbers, "all", &[]).ok();
    run(&numbers, "some", &["--keep", "label"]).ok();
    run(&numbers, "both", &["--keep", "label,value"]).ok();
    run(&numbers, "none", &["--keep"]).ok();
    assert_eq!(columns("all"), ["value", "label", "same", "made"]);
    assert_eq!(columns("both"), columns("all"));
    assert_eq!(columns("some"), ["label", "same", "made"]);
    assert_eq!(columns("none"), ["same", "made"]);

    let refused = run(&numbers, "other", &["--keep", "labl"]);
    assert!(refused.code == 2 && refused.err.contains("did you mean `label`?"), "{}", refused.err);
    let refused = run(&numbers, "some", &["--keep", "value"]);
    assert!(refused.code == 2 && refused.err.contains("keep: value now, label then (use --keep label)"), "{refused:?}");
    let refused = run(&numbers, "some", &[]);
    assert!(refused.code == 2 && refused.err.contains("keep: nothing now, label then"), "{}", refused.err);
}
