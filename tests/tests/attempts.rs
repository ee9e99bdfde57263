//! Shards that kill their process, several engines over one job, and what killed processes leave.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsString;

use anyflow_datasets::Manifest;
use anyflow_tests::{BUCKET, Numbers, Output, Store, cells, files_below};

type Variables = Vec<(&'static str, OsString)>;

fn run_under(variables: &Variables, numbers: &Numbers, output: &str, more: &[&str]) -> Output {
    let base = ["run", "pipeline.yaml", "--input", "rows.parquet", "--output", output, "--shard-rows", "3"];
    numbers.call(variables, &[&base[..], &["--batch-rows", "8"], more].concat())
}

fn run(numbers: &Numbers, output: &str, more: &[&str]) -> Output {
    run_under(&Vec::new(), numbers, output, more)
}

/// 24 rows in 8 shards with the values 0 to 23, and a plugin built with a macro.
fn project(built: &str) -> Numbers {
    let numbers = Numbers::new();
    numbers.build(&[built]);
    numbers
}

fn values(numbers: &Numbers, output: &str) -> Vec<String> {
    cells(&numbers.path(output), "value").iter().map(|cell| format!("{cell:?}")).collect()
}

/// Codes and row numbers of the failed rows.
fn failures(numbers: &Numbers, variables: &Variables, output: &str) -> Vec<(String, u64)> {
    let file = format!("{output}/failures.parquet");
    let rows = numbers.call(variables, &["--json", "data", "head", &file, "-n", "100"]).ok().json();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| (row["code"].as_str().unwrap().to_string(), row["row"].as_u64().unwrap())).collect()
}

fn given_up() -> Vec<(String, u64)> {
    (12..15).map(|row| ("run.quarantined".to_string(), row)).collect()
}

#[test]
fn a_shard_that_kills_its_process_is_given_up_and_the_others_are_done() {
    let numbers = project("POISON=13.0");
    let plain = run(&numbers, "plain", &[]);
    assert!(plain.code != 0 && plain.err.contains("signal 6"), "{plain:?}");
    let output = run(&numbers, "out", &["--max-attempts", "3"]).ok();
    assert_eq!(output.err.matches("it is started again").count(), 3, "{output:?}");
    assert!(output.err.contains("shard 4 is given up") && output.out.contains("quarantined shards  1"), "{output:?}");
    assert_eq!(failures(&numbers, &Vec::new(), "out"), given_up());
    let clean = Numbers::new();
    run(&clean, "out", &[]).ok();
    let mut expected = values(&clean, "out");
    expected.drain(12..15);
    assert_eq!(values(&numbers, "out"), expected);
    assert_eq!(files_below(&numbers.path("out/attempts"), "json").len(), 0);
    let jobs = numbers.call(&[], &["--json", "jobs", "out"]).ok().json();
    assert_eq!(jobs["failed"]["run.quarantined"], 3);
    numbers.call(&[], &["data", "verify", "out"]).ok();
    run(&numbers, "out", &["--max-attempts", "3"]).ok();
}

#[test]
fn attempts_of_several_commands_add_up_and_jobs_shows_them() {
    let numbers = project("POISON=13.0");
    let killed: Variables = vec![("ANYFLOW_FAILPOINT", "job-named".into())];
    let died = run_under(&killed, &numbers, "out", &["--max-attempts", "2"]);
    assert!(died.code != 0 && !died.err.contains("started again"), "no shard had begun: {died:?}");
    std::fs::create_dir(numbers.path("out/attempts")).unwrap();
    // As front and engine leave it when both are killed.
    numbers.write("out/attempts/00004.json", "{\"shard\": 4, \"attempts\": 1}");
    let jobs = numbers.call(&[], &["jobs", "out"]).ok();
    assert!(jobs.out.contains("shard 4 is not committed; attempts: 1"), "{jobs:?}");
    let output = run(&numbers, "out", &["--max-attempts", "2"]).ok();
    assert_eq!(output.err.matches("it is started again").count(), 1, "{output:?}");
    assert_eq!(failures(&numbers, &Vec::new(), "out"), given_up());
}

#[test]
fn a_call_without_end_is_a_death_too() {
    let numbers = project("ENDLESS=13.0");
    let output = run(&numbers, "out", &["--max-attempts", "2", "--timeout", "1"]).ok();
    assert!(output.err.contains("did not return within 1 s"), "{output:?}");
    assert_eq!(failures(&numbers, &Vec::new(), "out"), given_up());
}

#[test]
fn an_engine_that_ends_by_itself_takes_its_attempts_back() {
    let numbers = Numbers::new();
    numbers.write_rows(&(0..24).map(|row| if row == 7 { f64::NAN } else { f64::from(row) }).collect::<Vec<_>>(), |_| 0);
    let failed = run(&numbers, "out", &["--max-attempts", "1", "--max-failures", "0"]);
    assert!(failed.code != 0 && !failed.err.contains("started again"), "{failed:?}");
    assert_eq!(files_below(&numbers.path("out/attempts"), "json").len(), 0);
    let output = run(&numbers, "out", &["--max-attempts", "1"]).ok();
    assert!(!output.out.contains("quarantined"), "{output:?}");
}

#[test]
fn shards_are_given_up_in_a_store_and_in_parts_too() {
    let Some(store) = Store::start() else { return };
    let numbers = project("POISON=13.0");
    let out = format!("s3://{BUCKET}/out");
    for part in ["1/3", "2/3", "3/3"] {
        run_under(&store.variables(), &numbers, &out, &["--shards", part, "--max-attempts", "2"]).ok();
    }
    numbers.call(&store.variables(), &["finish", &out]).ok();
    assert_eq!(failures(&numbers, &store.variables(), &out), given_up());
    assert_eq!(store.keys("out/attempts"), Vec::<String>::new());
    let whole = format!("s3://{BUCKET}/whole");
    run_under(&store.variables(), &numbers, &whole, &["--engines", "2", "--max-attempts", "2"]).ok();
    assert_eq!(failures(&numbers, &store.variables(), &whole), given_up());
}

fn hashes(manifest: &Manifest) -> Vec<String> {
    let shards = manifest.shards.iter().map(|shard| shard.blake3.clone());
    shards.chain(manifest.failures_file.iter().map(|file| file.blake3.clone())).collect()
}

#[test]
fn several_engines_make_the_files_of_one() {
    let numbers = Numbers::new();
    run(&numbers, "one", &[]).ok();
    let one = hashes(&Manifest::read(&numbers.path("one")).unwrap());
    for (output, more) in
        [("two", &["--engines", "2"][..]), ("three", &["--device", "cpu,cpu,cpu"]), ("nine", &["--engines", "9"])]
    {
        let done = run(&numbers, output, more).ok();
        assert!(done.out.contains("rows    24"), "{done:?}");
        assert_eq!(hashes(&Manifest::read(&numbers.path(output)).unwrap()), one, "{output}");
        assert!(!numbers.path(output).join("parts").exists());
        run(&numbers, output, more).ok();
        let other = run(&numbers, output, &[more, &["--seed", "9"]].concat());
        assert!(other.code == 2 && other.err.contains("another job"), "{other:?}");
    }
    // An engine that dies leaves its part; the same command goes on.
    let died: Variables = vec![("ANYFLOW_FAILPOINT", "committed:2".into())];
    let cut = run_under(&died, &numbers, "cut", &["--engines", "2"]);
    assert!(cut.code != 0 && numbers.path("cut/parts/2-of-2").exists(), "{cut:?}");
    run(&numbers, "cut", &["--engines", "2"]).ok();
    assert_eq!(hashes(&Manifest::read(&numbers.path("cut")).unwrap()), one);
    let bare = ["run", "pipeline.yaml", "--input", "rows.parquet", "--output", "x"];
    for (more, reason) in [
        (&["--engines", "2"][..], "--batch-rows"),
        (&["--engines", "3", "--device", "cpu,cpu", "--batch-rows", "8"], "different numbers of engines"),
        (&["--device", "cpu,cuda:0", "--batch-rows", "8"], "several kinds"),
        (&["--engines", "2", "--batch-rows", "8", "--shards", "1/2"], "cannot be combined"),
    ] {
        let refused = numbers.call(&[], &[&bare, more].concat());
        assert!(refused.code == 2 && refused.err.contains(reason), "{refused:?}");
    }
}

#[test]
fn gc_removes_what_no_commit_names_and_nothing_else() {
    let numbers = Numbers::new();
    let died = |point: &str| -> Variables { vec![("ANYFLOW_FAILPOINT", point.into())] };
    assert_ne!(run_under(&died("shard-renamed:2"), &numbers, "out", &[]).code, 0);
    numbers.write("out/notes.txt", "mine");
    numbers.write("out/data/.notes.tmp", "mine");
    let before = numbers.files("out");
    let removed = numbers.call(&[], &["--json", "gc", "out"]).ok().json();
    let names: Vec<&str> =
        removed["removed"].as_array().unwrap().iter().filter_map(|file| file["file"].as_str()).collect();
    assert_eq!(names, ["data/shard-00002.parquet"]);
    let mut expected = before;
    expected.remove(std::path::Path::new("data/shard-00002.parquet")).unwrap();
    assert_eq!(numbers.files("out"), expected);
    assert_ne!(run_under(&died("file-written:6"), &numbers, "parts", &["--shards", "1/2"]).code, 0);
    let removed = numbers.call(&[], &["gc", "parts"]).ok();
    assert!(
        removed.out.contains("removed parts/1-of-2/") && removed.out.contains(": 2 files without a commit"),
        "{removed:?}"
    );
    let nothing = numbers.call(&[], &["gc", "plugins"]);
    assert!(nothing.code == 2 && nothing.err.contains("job.json"), "{nothing:?}");
    let Some(store) = Store::start() else { return };
    let stored = format!("s3://{BUCKET}/out");
    let uploaded: Variables = [store.variables(), died("shard-uploaded:2")].concat();
    assert_ne!(run_under(&uploaded, &numbers, &stored, &[]).code, 0);
    store.put("out/data/mine.parquet", b"mine");
    let keys = store.keys("out");
    let young = numbers.call(&store.variables(), &["gc", &stored]).ok();
    assert!(young.out.contains("0 files without a commit") && store.keys("out") == keys, "{young:?}");
    let removed = numbers.call(&store.variables(), &["gc", &stored, "--older-than", "0"]).ok();
    assert!(removed.out.contains("removed data/shard-00002-"), "{removed:?}");
    let left = store.keys("out");
    assert_eq!(left.len() + 1, keys.len());
    assert!(keys.iter().filter(|key| !left.contains(key)).all(|key| key.starts_with("out/data/shard-00002-")));
}
