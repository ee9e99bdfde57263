//! A job in parts: any number of processes, one output, each row exactly once.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsString;
use std::path::Path;

use anyflow_tests::{Numbers, Output, files_below};

const FAILPOINT: &str = "ANYFLOW_FAILPOINT";

fn run_under(variables: &[(&str, OsString)], numbers: &Numbers, output: &str, more: &[&str]) -> Output {
    let base = ["run", "pipeline.yaml", "--input", "rows.parquet", "--output", output, "--shard-rows", "3"];
    numbers.call(variables, &[&base, more].concat())
}

fn run(numbers: &Numbers, output: &str, more: &[&str]) -> Output {
    run_under(&[], numbers, output, &[&["--batch-rows", "8"], more].concat())
}

fn finish(numbers: &Numbers, output: &str, variables: &[(&str, OsString)]) -> Output {
    numbers.call(variables, &["finish", output])
}

/// The files that readers trust, by name.
fn files(output: &Path) -> Vec<(String, Vec<u8>)> {
    let tables = files_below(output, "parquet");
    let manifest = std::iter::once(output.join("manifest.json"));
    let read = |path: std::path::PathBuf| {
        (path.strip_prefix(output).unwrap().display().to_string(), std::fs::read(&path).unwrap())
    };
    tables.into_iter().chain(manifest).map(read).collect()
}

/// 24 rows in 8 shards, of which rows 4 and 20 fail.
fn project() -> Numbers {
    let numbers = Numbers::new();
    let value = |row: i32| if [4, 20].contains(&row) { f64::NAN } else { f64::from(row) };
    numbers.write_rows(&(0..24).map(value).collect::<Vec<_>>(), |row| row as i64 % 2);
    numbers
}

#[test]
fn parts_make_the_files_of_one_run() {
    let numbers = project();
    run(&numbers, "whole", &[]).ok();
    for (parts, output) in [(1, "one"), (3, "three"), (11, "eleven")] {
        for part in 1..=parts {
            run(&numbers, output, &["--shards", &format!("{part}/{parts}")]).ok();
        }
        let finished = finish(&numbers, output, &[]).ok();
        assert!(finished.out.contains("rows    22") && finished.out.contains("failed  2"), "{finished:?}");
        assert!(files(&numbers.path(output)) == files(&numbers.path("whole")), "{parts} parts");
        assert!(!numbers.path(output).join("parts").exists(), "finished parts are removed");
        numbers.call(&[], &["data", "verify", output]).ok();
        numbers.call(&[], &["report", output]).ok();
        finish(&numbers, output, &[]).ok();
        let again = run(&numbers, output, &["--shards", "1/3"]);
        assert!(again.code == 2 && again.err.contains("holds a finished job"), "{again:?}");
    }
}

#[test]
fn what_is_missing_is_named_and_can_be_done_later() {
    let numbers = project();
    let none = finish(&numbers, "out", &[]);
    assert!(none.code == 2 && none.err.contains("no such file or folder"), "{none:?}");
    run(&numbers, "out", &["--shards", "1/2"]).ok();
    let half = finish(&numbers, "out", &[]);
    assert!(half.code == 1 && half.err.contains("of 8 shards these are missing: 4, 5, 6, 7"), "{half:?}");
    let died = [(FAILPOINT, "committed:1".into())];
    assert_ne!(run_under(&died, &numbers, "out", &["--batch-rows", "8", "--shards", "2/2"]).code, 0);
    let jobs = numbers.call(&[], &["jobs", "out"]).ok();
    assert!(jobs.out.contains("1-of-2   complete"), "{jobs:?}");
    assert!(jobs.out.contains("2-of-2   stopped; the same command resumes it  2 "), "{jobs:?}");
    let cut = finish(&numbers, "out", &[]);
    assert!(cut.err.contains("missing: 6, 7; parts that are not complete: 2-of-2"), "{cut:?}");
    run(&numbers, "out", &["--shards", "2/2"]).ok();
    finish(&numbers, "out", &[]).ok();
    run(&numbers, "whole", &[]).ok();
    assert!(files(&numbers.path("out")) == files(&numbers.path("whole")));
    let jobs = numbers.call(&[], &["--json", "jobs", "out"]).ok();
    let jobs: serde_json::Value = serde_json::from_str(&jobs.out).unwrap();
    let whole = &jobs["parts"][0];
    assert_eq!((&whole["complete"], &whole["shards"], &whole["rows"]), (&true.into(), &8.into(), &22.into()));
    assert_eq!(whole["failed"].as_object().unwrap().values().filter_map(serde_json::Value::as_u64).sum::<u64>(), 2);
}

#[test]
fn finishing_survives_a_kill_anywhere() {
    let numbers = project();
    run(&numbers, "whole", &[]).ok();
    let expected = files(&numbers.path("whole"));
    for part in ["1/2", "2/2"] {
        run(&numbers, "out", &["--shards", part]).ok();
    }
    let points = ["job-named", "shard-taken:0", "shard-taken:5", "committed:3", "committed:7", "failures-written"];
    let published = (0..20).map(|count| format!("file-published:{count}"));
    for point in points.map(String::from).into_iter().chain(["card-written".into(), "finished".into()]).chain(published)
    {
        let numbers = numbers.copied();
        let died = finish(&numbers, "out", &[(FAILPOINT, OsString::from(&point))]);
        assert_ne!(died.code, 0, "{point} is not reached");
        finish(&numbers, "out", &[]).ok();
        assert!(files(&numbers.path("out")) == expected, "{point}");
        assert!(!numbers.path("out/parts").exists(), "{point}");
    }
}

#[test]
fn parts_of_another_job_are_refused() {
    let numbers = project();
    run(&numbers, "out", &["--shards", "1/2"]).ok();
    run(&numbers, "out", &["--shards", "2/2", "--seed", "9"]).ok();
    let mixed = finish(&numbers, "out", &[]);
    assert!(
        mixed.code == 2 && mixed.err.contains("holds the output of another job") && mixed.err.contains("seed"),
        "{mixed:?}"
    );
    let whole = run(&numbers, "out", &[]);
    assert!(whole.code == 2 && whole.err.contains("holds the output of a run in parts"), "{whole:?}");
    let unequal = run_under(&[], &numbers, "out", &["--shards", "1/2"]);
    assert!(unequal.code == 2 && unequal.err.contains("--batch-rows"), "{unequal:?}");
    for share in ["0/2", "3/2", "1"] {
        let wrong = run(&numbers, "other", &["--shards", share]);
        assert!(wrong.code == 2 && wrong.err.contains("I from 1 to N"), "{wrong:?}");
    }
}

#[test]
fn files_of_others_stay() {
    let numbers = project();
    run(&numbers, "out", &["--shards", "1/1"]).ok();
    numbers.write("out/parts/1-of-1/notes.txt", "mine");
    numbers.write("out/parts/1-of-1/data/more.txt", "mine");
    finish(&numbers, "out", &[]).ok();
    assert_eq!(std::fs::read_to_string(numbers.path("out/parts/1-of-1/notes.txt")).unwrap(), "mine");
    assert_eq!(std::fs::read_to_string(numbers.path("out/parts/1-of-1/data/more.txt")).unwrap(), "mine");
    assert_eq!(files_below(&numbers.path("out/parts"), "parquet").len(), 0);
}

#[test]
fn the_limit_of_failed_rows_is_that_of_the_whole_job() {
    let numbers = project();
    let limit = ["--max-failures", "1"];
    let of = |words: &[&'static str]| [words, &limit].concat();
    for part in ["1/2", "2/2"] {
        run(&numbers, "parts", &of(&["--shards", part])).ok();
    }
    let refused = [finish(&numbers, "parts", &[]), run(&numbers, "engines", &of(&["--engines", "2"]))];
    for (refused, output) in refused.iter().zip(["parts", "engines"]) {
        assert!(refused.code == 1 && refused.err.contains("2 rows of all parts failed"), "{refused:?}");
        let output = numbers.path(output);
        assert!(output.join("failures.parquet").exists() && !output.join("manifest.json").exists());
    }
    let finish_with = |more: &[&str]| numbers.call(&[], &[&["finish", "parts", "--max-failures"], more].concat());
    assert_eq!(finish_with(&["0"]).code, 1);
    finish_with(&["2"]).ok();
    run(&numbers, "whole", &[]).ok();
    assert!(files(&numbers.path("parts")) == files(&numbers.path("whole")));
    run(&numbers, "engines", &["--engines", "2", "--max-failures", "2"]).ok();
    assert!(files(&numbers.path("engines")) == files(&numbers.path("whole")));
}
