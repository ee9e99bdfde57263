//! `run --sweep`: every combination in a folder of its own, with the files that repeat it, and one report of all.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::Path;

use anyflow_datasets::{Feature, OwnedCell};
use anyflow_tests::{Numbers, Output, cells, write_columns};
use serde_json::{Value, json};

/// Runs the pipeline over `rows.parquet` into `out`.
fn sweep(numbers: &Numbers, more: &[&str]) -> Output {
    let arguments =
        ["run", "pipeline.yaml", "--input", "rows.parquet", "--output", "out", "--batch-rows", "4", "--json"];
    numbers.call(&[], &[&arguments, more].concat())
}

fn folders(result: &Value) -> Vec<&str> {
    result["combinations"].as_array().unwrap().iter().map(|one| one["folder"].as_str().unwrap()).collect()
}

fn report(numbers: &Numbers, folder: &str) -> String {
    numbers.call(&[], &["report", folder]).ok();
    std::fs::read_to_string(numbers.path(folder).join("report.html")).unwrap()
}

const STEPS: &str = "joint.sampler.steps=1,3";
const SEEDS: &str = "joint.seed=1,2";

#[test]
fn a_grid_runs_every_combination_as_set_would() {
    let numbers = Numbers::new();
    let result = sweep(&numbers, &["--sweep", STEPS, "--sweep", SEEDS]).ok().json();
    let wanted = ["steps=1,joint.seed=1", "steps=1,joint.seed=2", "steps=3,joint.seed=1", "steps=3,joint.seed=2"];
    assert_eq!(folders(&result), wanted.map(|name| format!("joint.sampler.{name}")));
    assert_eq!(result["combinations"][3]["set"], json!({"joint.sampler.steps": 3, "joint.seed": 2}));
    assert_eq!((&result["combinations"][3]["result"]["rows"], &result["failed"]), (&json!(24), &json!(0)));

    let alone = ["run", "pipeline.yaml", "--input", "rows.parquet", "--output", "alone", "--batch-rows", "4"];
    let set = ["--set", "joint.sampler.steps=3", "--set", "joint.seed=2"];
    numbers.call(&[], &[&alone[..], &set[..]].concat()).ok();
    let folder = "out/joint.sampler.steps=3,joint.seed=2";
    let shard = |output: &str| std::fs::read(numbers.path(output).join("data/shard-00000.parquet")).unwrap();
    assert_eq!(shard(folder), shard("alone"));
    assert_ne!(shard(folder), shard("out/joint.sampler.steps=1,joint.seed=2"));

    // Its files repeat it, from wherever they are.
    let again = format!("{folder}/pipeline.yaml");
    let again = ["run", &again, "--input", "rows.parquet", "--output", "again", "--batch-rows", "4"];
    numbers.call(&[], &again).ok();
    assert_eq!(shard("again"), shard("alone"));
}

#[test]
fn the_same_command_resumes_and_another_value_is_added() {
    let numbers = Numbers::new();
    let stop = ("ANYFLOW_FAILPOINT", "committed:2".into());
    let arguments = Numbers::run_of("rows.parquet", "out");
    let arguments = [&arguments[..], &["--sweep", STEPS, "--json"]].concat();
    let cut = numbers.call(&[stop], &arguments);
    assert!(cut.code != 0 && cut.json()["failed"] == 2, "{cut:?}");
    assert!(report(&numbers, "out").contains("2 failed"));
    let finished = numbers.call(&[], &arguments).ok().json();
    assert_eq!(finished["failed"], 0);
    let before = numbers.files("out");
    let more = [&Numbers::run_of("rows.parquet", "out")[..], &["--sweep", "joint.sampler.steps=1,2,3"]].concat();
    numbers.call(&[], &more).ok();
    let after = numbers.files("out");
    let is_new = |path: &Path| path.starts_with("joint.sampler.steps=2");
    for (path, bytes) in &before {
        let same = path.ends_with("order.json") || after.get(path) == Some(bytes) || path.ends_with(".lock");
        assert!(same, "{} changed", path.display());
    }
    assert!(after.keys().any(|path| is_new(path)) && !before.keys().any(|path| is_new(path)));
    let page = report(&numbers, "out");
    assert!(page.contains("3 combinations") && !page.contains("2 failed"));
}

#[test]
fn values_are_combined_one_by_one_on_request() {
    let numbers = Numbers::new();
    let result = sweep(&numbers, &["--sweep", STEPS, "--sweep", SEEDS, "--sweep-zip"]).ok().json();
    let wanted = ["steps=1,joint.seed=1", "steps=3,joint.seed=2"];
    assert_eq!(folders(&result), wanted.map(|name| format!("joint.sampler.{name}")));
}

#[test]
fn a_combination_that_fails_does_not_lose_the_others() {
    let numbers = Numbers::new();
    numbers.write("weights/broken.safetensors", "no weights");
    let checkpoints = "model.checkpoint=weights/broken.safetensors,weights/model.safetensors";
    let output = sweep(&numbers, &["--sweep", checkpoints, "--sweep", "joint.sampler.steps=2,0"]);
    let result = output.json();
    let all = result["combinations"].as_array().unwrap();
    assert_eq!((&all[0]["error"]["exit_code"], &result["failed"]), (&json!(output.code), &json!(3)), "{output:?}");
    assert_ne!(output.code, 0);
    assert!(all[0]["error"]["message"].as_str().unwrap().contains("broken.safetensors"), "{result}");
    assert_eq!(all[1]["error"]["code"], "plan");
    assert_eq!((&all[2]["result"]["rows"], all[2].get("error")), (&json!(24), None));
    let page = report(&numbers, "out");
    assert!(page.contains("4 combinations") && page.contains("3 failed") && page.contains("broken.safetensors"));

    let text = numbers.call(
        &[],
        &["run", "pipeline.yaml", "--input", "rows.parquet", "--output", "text", "--sweep", "joint.sampler.steps=2,0"],
    );
    assert!(text.code == 2 && text.out.contains("1 of 2 combinations failed"), "{text:?}");
    assert!(text.err.contains("combination 2 of 2: joint.sampler.steps=0") && text.err.contains("--set"), "{text:?}");
}

#[test]
fn a_sweep_that_cannot_begin_is_refused_as_a_whole() {
    let numbers = Numbers::new();
    let refused = |more: &[&str], words: &str| {
        let output = sweep(&numbers, more);
        let message = output.json()["error"]["message"].to_string();
        assert!(output.code == 2 && message.contains(words), "{output:?}");
        assert!(!numbers.path("out").exists());
    };
    refused(&["--sweep", "joint.samplr.steps=1,2"], "samplr");
    refused(&["--sweep", "joint.sampler.steps"], "path=value,value");
    refused(&["--sweep", "joint.seed=1,2,1"], "twice");
    refused(&["--sweep", "joint.seed=1", "--sweep", "joint.seed=2"], "twice");
    refused(&["--sweep", STEPS, "--sweep", "joint.seed=1,2,3", "--sweep-zip"], "as many for each");
    let many: Vec<String> = (0..40).map(|seed| seed.to_string()).collect();
    let many = many.join(",");
    let other = format!("joint.sampler.steps={many}");
    refused(&["--sweep", &format!("joint.seed={many}"), "--sweep", &other], "40 x 40 combinations; at most 1000");
    for more in [&["--sweep-zip"][..], &["--sweep", SEEDS, "--trace", "trace.json"]] {
        assert_eq!(sweep(&numbers, more).code, 2);
    }
    sweep(&numbers, &[]).ok();
    let output = sweep(&numbers, &["--sweep", SEEDS]);
    assert!(output.code == 2 && output.out.contains("holds the output of a job"), "{output:?}");
}

#[test]
fn the_report_puts_the_same_rows_side_by_side() {
    let numbers = Numbers::new();
    // A row that is not a number fails.
    let value = |row: usize, holed: bool| if holed && row == 1 { f64::NAN } else { row as f64 };
    let values = |holed: bool| (0..6).map(|row| Some(OwnedCell::F64(value(row, holed)))).collect();
    let numbers_of = || Feature::Value("float64".into());
    let columns = vec![("whole", numbers_of(), values(false)), ("holed", numbers_of(), values(true))];
    write_columns(&numbers.path("data"), columns);
    let arguments = ["run", "pipeline.yaml", "--input", "data", "--output", "out", "--batch-rows", "4"];
    numbers.call(&[], &[&arguments[..], &["--sweep", "seen.column=whole,holed"]].concat()).ok();
    let page = report(&numbers, "out");
    assert_eq!(cells(&numbers.path("out/seen.column=holed"), "value").len(), 5);
    let compared = page.split("The same rows of all combinations").nth(1).unwrap().split("</section>").next().unwrap();
    let rows: Vec<&str> = compared.split("<article").skip(1).collect();
    assert_eq!(rows.len(), 6);
    for (row, card) in rows.iter().enumerate() {
        // `value` is decoded from what was encoded, so it shows the row's own number in both combinations.
        let own = format!("<span class=\"word\">{row}</span>");
        let made = card.split("<b>value</b>").count() - 1;
        assert_eq!(made, if row == 1 { 1 } else { 2 }, "{card}");
        assert!(card.matches(&own).count() >= made, "row {row}: {card}");
        assert_eq!(card.matches("<span class=\"none\">failed</span>").count(), usize::from(row == 1));
        assert!(card.contains("column whole") && card.contains("column holed"), "{card}");
    }
}

#[test]
fn a_refused_command_leaves_what_is_said_of_a_finished_combination() {
    let numbers = Numbers::new();
    sweep(&numbers, &["--sweep", STEPS]).ok();
    let before = numbers.files("out");
    numbers.write_rows(&[5.0; 24], |row| row as i64 % 2);
    let refused = sweep(&numbers, &["--sweep", STEPS]);
    assert!(refused.code == 2 && refused.json()["failed"] == 2, "{refused:?}");
    assert!(numbers.files("out") == before, "the folders stay as they are");
    let page = report(&numbers, "out");
    assert!(page.contains("2 combinations") && !page.contains("2 failed"), "the page counts both as finished");
}
