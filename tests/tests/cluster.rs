//! Jobs on Ballista, with real processes: a scheduler, executors, a driver. `cargo xtask test --cluster` builds the program and
//! runs these tests.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyflow_datasets::{Manifest, committed_shards};
use anyflow_tests::{BUCKET, Cluster, Fault, Line, Numbers, Output, Store, cells, files_below, signal};

type Variables = Vec<(&'static str, OsString)>;

const BASE: [&str; 5] = ["run", "pipeline.yaml", "--input", "rows.parquet", "--output"];
const MORE: [&str; 4] = ["--shard-rows", "3", "--batch-rows", "8"];

fn arguments<'a>(output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&BASE[..], &[output], &MORE, more].concat()
}

fn run(numbers: &Numbers, output: &str, more: &[&str]) -> Output {
    numbers.call(&[], &arguments(output, more))
}

/// 24 rows in 8 shards, of which rows 4 and 20 fail, with a plugin built with macros.
fn project(built: &[&str]) -> Numbers {
    let numbers = Numbers::new();
    if !built.is_empty() {
        numbers.build(built);
    }
    let value = |row: i32| if [4, 20].contains(&row) { f64::NAN } else { f64::from(row) };
    numbers.write_rows(&(0..24).map(value).collect::<Vec<_>>(), |row| row as i64 % 2);
    numbers
}

/// What a manifest says of each file.
fn hashes(manifest: &Manifest) -> Vec<String> {
    let shards = manifest.shards.iter().map(|shard| shard.blake3.clone());
    shards.chain(manifest.failures_file.iter().map(|file| file.blake3.clone())).collect()
}

fn hashes_in(folder: &Path) -> Vec<String> {
    hashes(&Manifest::read(folder).unwrap())
}

/// Checks that an output is that of a plain run, and that nothing is left of its parts.
#[track_caller]
fn assert_like_a_plain_run(numbers: &Numbers, output: &str) {
    if !numbers.path("plain").exists() {
        run(numbers, "plain", &[]).ok();
    }
    assert_eq!(hashes_in(&numbers.path(output)), hashes_in(&numbers.path("plain")), "{output}");
    assert!(
        !numbers.path(output).join("parts").exists(),
        "{:?}",
        files_below(&numbers.path(output).join("parts"), "json")
    );
    numbers.call(&[], &["data", "verify", output]).ok();
}

/// A command that runs.
struct Running(Child);

impl Running {
    fn start(numbers: &Numbers, cluster: &Cluster, output: &str, more: &[&str]) -> Running {
        let on = cluster.on();
        let mut command = numbers.command(&[], &arguments(output, &[&["--on", &on], more].concat()));
        Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn end(mut self) -> Output {
        let (mut out, mut err) = (String::new(), String::new());
        self.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Output { code: self.0.wait().unwrap().code().unwrap_or(-1), out, err }
    }
}

/// Waits until so many shards are committed.
#[track_caller]
fn wait_for_commits(output: &Path, count: usize) {
    let begin = Instant::now();
    while committed_shards(output).unwrap_or_default().len() < count {
        assert!(begin.elapsed() < Duration::from_secs(60), "{count} shards are not committed");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A shard takes about a tenth of a second.
const SLOW: &[&str] = &["PAUSE_US=100000"];

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn one_job_has_the_same_files_on_a_disk_in_a_store_in_parts_and_on_ballista() {
    let numbers = project(&[]);
    let cluster = Cluster::start(&numbers, 2, &[]);
    let done = run(&numbers, "out", &["--on", &cluster.on()]).ok();
    assert!(done.out.contains("rows    22") && done.out.contains("failed  2"), "{done:?}");
    assert_like_a_plain_run(&numbers, "out");
    for part in ["1/2", "2/2"] {
        run(&numbers, "parts", &["--shards", part]).ok();
    }
    numbers.call(&[], &["finish", "parts"]).ok();
    assert_like_a_plain_run(&numbers, "parts");
    // The same command finds the job finished, another one is refused.
    run(&numbers, "out", &["--on", &cluster.on()]).ok();
    let other = run(&numbers, "out", &["--on", &cluster.on(), "--seed", "9"]);
    assert!(other.code == 2 && other.err.contains("another job"), "{other:?}");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn executors_write_to_a_store() {
    let Some(store) = Store::start() else { return };
    let numbers = project(&[]);
    let cluster = Cluster::start(&numbers, 2, &store.variables());
    let out = format!("s3://{BUCKET}/out");
    numbers.call(&store.variables(), &arguments(&out, &["--on", &cluster.on()])).ok();
    let manifest: Manifest = serde_json::from_slice(&store.get("out/manifest.json")).unwrap();
    run(&numbers, "plain", &[]).ok();
    assert_eq!(hashes(&manifest), hashes_in(&numbers.path("plain")));
    let access = cluster.doctor(&["--output", &out]).ok().json();
    assert_eq!(access["executors"]["e0"]["reach"]["error"], serde_json::Value::Null, "{access}");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn every_row_is_there_once_whatever_the_number_of_shards() {
    let numbers = Numbers::new();
    numbers.write_rows(&(0..257).map(f64::from).collect::<Vec<_>>(), |_| 0);
    let cluster = Cluster::start(&numbers, 2, &[]);
    let expected: Vec<String> = (0..257).map(|row| format!("F64({row}.0)")).collect();
    for (shard_rows, shards) in [("257", 1), ("129", 2), ("17", 16), ("1", 257)] {
        let output = format!("out-{shards}");
        let base = [&BASE[..], &[output.as_str(), "--shard-rows", shard_rows, "--batch-rows", "8"]].concat();
        numbers.call(&[], &[&base[..], &["--on", &cluster.on()]].concat()).ok();
        assert_eq!(Manifest::read(&numbers.path(&output)).unwrap().shards.len(), shards);
        let found: Vec<String> =
            cells(&numbers.path(&output), "value").iter().map(|cell| format!("{cell:?}")).collect();
        assert_eq!(found, expected, "{shards} shards");
    }
    let empty = run(&numbers, "empty", &["--on", &cluster.on(), "--where", "value < 0"]);
    assert!(empty.code == 2 && empty.err.contains("no rows"), "{empty:?}");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn a_killed_executor_costs_the_shards_in_flight() {
    let numbers = project(SLOW);
    for commits in [1, 4, 7] {
        let mut cluster = Cluster::start(&numbers, 2, &[]);
        let output = format!("out-{commits}");
        let running = Running::start(&numbers, &cluster, &output, &[]);
        wait_for_commits(&numbers.path(&output), commits);
        cluster.executors[0].kill();
        running.end().ok();
        assert_like_a_plain_run(&numbers, &output);
    }
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn a_killed_engine_or_front_is_started_again() {
    let numbers = project(SLOW);
    let cluster = Cluster::start(&numbers, 2, &[]);
    for (output, is_engine) in [("engine", true), ("front", false)] {
        let running = Running::start(&numbers, &cluster, output, &["--max-attempts", "9"]);
        wait_for_commits(&numbers.path(output), 2);
        let executor = &cluster.executors[0];
        signal(if is_engine { executor.engine() } else { executor.front() }.unwrap(), "KILL");
        running.end().ok();
        assert_like_a_plain_run(&numbers, output);
    }
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn an_engine_may_die_at_every_step_of_a_commit() {
    // Each engine commits something before it dies, and dies before its half of the shards is done.
    for point in ["file-written:9", "shard-renamed:1", "committed:1", "file-published:9"] {
        let numbers = project(&[]);
        let cluster = Cluster::start(&numbers, 2, &[("ANYFLOW_FAILPOINT", point.into())]);
        let done = run(&numbers, "out", &["--on", &cluster.on(), "--max-attempts", "20"]).ok();
        assert!(!done.err.contains(" loads 1,"), "{point}: no engine died: {}", done.err);
        assert_like_a_plain_run(&numbers, "out");
    }
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn the_commits_count_when_all_executors_are_gone() {
    let numbers = project(SLOW);
    let mut cluster = Cluster::start(&numbers, 2, &[]);
    let running = Running::start(&numbers, &cluster, "out", &[]);
    wait_for_commits(&numbers.path("out"), 8);
    cluster.executors.iter_mut().for_each(anyflow_tests::Executor::kill);
    running.end().ok();
    assert_like_a_plain_run(&numbers, "out");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn a_scheduler_that_is_started_again_goes_on() {
    let numbers = project(SLOW);
    let mut cluster = Cluster::start(&numbers, 2, &[]);
    let running = Running::start(&numbers, &cluster, "out", &[]);
    wait_for_commits(&numbers.path("out"), 2);
    cluster.restart_scheduler();
    running.end().ok();
    assert_like_a_plain_run(&numbers, "out");
    cluster.kill_scheduler();
    let none = run(&numbers, "other", &["--on", &cluster.on()]);
    assert!(none.code == 1 && none.err.contains("cluster.no-scheduler"), "{none:?}");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn a_killed_driver_is_resumed_and_two_at_once_agree() {
    let numbers = project(SLOW);
    let cluster = Cluster::start(&numbers, 2, &[]);
    let mut running = Running::start(&numbers, &cluster, "out", &[]);
    wait_for_commits(&numbers.path("out"), 2);
    running.0.kill().unwrap();
    running.end();
    let before = committed_shards(&numbers.path("out")).unwrap();
    run(&numbers, "out", &["--on", &cluster.on()]).ok();
    assert!(before.len() < 8, "the driver was killed before the end");
    assert_like_a_plain_run(&numbers, "out");
    let both = [0, 1].map(|_| Running::start(&numbers, &cluster, "both", &[]));
    both.into_iter().for_each(|running| drop(running.end().ok()));
    assert_like_a_plain_run(&numbers, "both");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn an_executor_that_wakes_up_late_harms_nothing() {
    let numbers = project(SLOW);
    let cluster = Cluster::start(&numbers, 2, &[]);
    let running = Running::start(&numbers, &cluster, "out", &[]);
    wait_for_commits(&numbers.path("out"), 2);
    cluster.executors[0].signal("STOP");
    let output = running.end().ok();
    cluster.executors[0].signal("CONT");
    std::thread::sleep(Duration::from_secs(1));
    assert!(output.out.contains("rows    22"), "{output:?}");
    assert_like_a_plain_run(&numbers, "out");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn a_poison_shard_is_given_up_and_the_executors_survive() {
    for (built, more) in [("POISON=13.0", &[][..]), ("ENDLESS=13.0", &["--timeout", "1"])] {
        let numbers = project(&[built]);
        let mut cluster = Cluster::start(&numbers, 2, &[]);
        let on = cluster.on();
        let done = run(&numbers, "out", &[&["--on", &on, "--max-attempts", "2"], more].concat()).ok();
        assert!(done.err.contains("shard 4 is given up"), "{done:?}");
        let file = numbers.call(&[], &["--json", "data", "head", "out/failures.parquet", "-n", "100"]).ok().json();
        let lost: Vec<u64> = file
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["code"] == "run.quarantined")
            .map(|row| row["row"].as_u64().unwrap())
            .collect();
        assert_eq!(lost, [12, 13, 14], "{built}");
        assert!(cluster.executors.iter_mut().all(anyflow_tests::Executor::runs), "{built}");
    }
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn an_executor_with_another_plugin_refuses_the_job() {
    let numbers = project(&[]);
    let cluster = Cluster::start(&numbers, 1, &[]);
    numbers.build(&["SCALE=2.0"]);
    let refused = run(&numbers, "out", &["--on", &cluster.on()]);
    assert!(refused.code == 3 && refused.err.contains("cluster.plugins"), "{refused:?}");
    assert!(refused.err.contains("plugin `scaled` has the hash"), "{refused:?}");
    assert!(!numbers.path("out").exists(), "the job has not begun");
    let empty = project(&[]);
    std::fs::remove_dir_all(empty.path("plugins")).unwrap();
    std::fs::create_dir(empty.path("plugins")).unwrap();
    let cluster = Cluster::start(&empty, 1, &[]);
    let refused = run(&numbers, "out", &["--on", &cluster.on()]);
    assert!(refused.code == 3 && refused.err.contains("plugin `scaled` is missing"), "{refused:?}");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn an_interrupted_job_has_no_manifest_and_is_resumed() {
    let numbers = project(SLOW);
    let cluster = Cluster::start(&numbers, 2, &[]);
    let running = Running::start(&numbers, &cluster, "out", &[]);
    wait_for_commits(&numbers.path("out"), 2);
    signal(running.0.id(), "INT");
    let stopped = running.end();
    assert!(stopped.code == 1 && stopped.err.contains("stopped"), "{stopped:?}");
    std::thread::sleep(Duration::from_secs(1));
    let before = committed_shards(&numbers.path("out")).unwrap().len();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(committed_shards(&numbers.path("out")).unwrap().len(), before, "the executors have stopped too");
    assert!(before < 8 && !numbers.path("out/manifest.json").exists());
    run(&numbers, "out", &["--on", &cluster.on()]).ok();
    assert_like_a_plain_run(&numbers, "out");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn executors_may_join_at_any_time() {
    let numbers = project(SLOW);
    let mut cluster = Cluster::start(&numbers, 1, &[]);
    let running = Running::start(&numbers, &cluster, "out", &[]);
    wait_for_commits(&numbers.path("out"), 1);
    cluster.join("late", &[]);
    wait_for_commits(&numbers.path("out/parts/late"), 1);
    running.end().ok();
    assert_like_a_plain_run(&numbers, "out");
    cluster.executors[0].kill();
    cluster.join("e0", &[]);
    cluster.wait_for(2);
    run(&numbers, "again", &["--on", &cluster.on()]).ok();
    assert_like_a_plain_run(&numbers, "again");
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn a_store_that_fails_and_loses_answers_loses_no_row() {
    let Some(store) = Store::start() else { return };
    let numbers = project(&[]);
    let line = Line::to(&store, |passing| match passing.number % 9 {
        2 => Fault::Busy,
        5 => Fault::LoseAnswer,
        7 => Fault::Delay(Duration::from_millis(30)),
        _ => Fault::None,
    });
    let cluster = Cluster::start(&numbers, 2, &line.variables());
    let out = format!("s3://{BUCKET}/out");
    let variables: Variables = line.variables();
    numbers.call(&variables, &arguments(&out, &["--on", &cluster.on()])).ok();
    assert!(line.faults() > 20, "{} requests were disturbed", line.faults());
    let manifest: Manifest = serde_json::from_slice(&store.get("out/manifest.json")).unwrap();
    run(&numbers, "plain", &[]).ok();
    assert_eq!(hashes(&manifest), hashes_in(&numbers.path("plain")));
}

#[test]
#[ignore = "cargo xtask test --cluster runs it"]
fn a_model_is_loaded_once_and_a_missing_program_is_named() {
    let numbers = project(&[]);
    let cluster = Cluster::start(&numbers, 2, &[]);
    let on = cluster.on();
    let done = numbers.call(&[], &arguments("out", &["--on", &on])).ok();
    assert!(done.err.contains(" waves 1, loads 1, skipped 0"), "{}", done.err);
    let missing = [("ANYFLOW_CLUSTER", OsString::from("/nowhere/anyflow-cluster"))];
    let missing = numbers.call(&missing, &arguments("none", &["--on", &on]));
    assert!(missing.code == 2 && missing.err.contains("cargo build --package anyflow-cluster"), "{missing:?}");
    let doctor = cluster.doctor(&[]).ok().json();
    assert_eq!(doctor["problems"], serde_json::json!([]), "{doctor}");
    for name in ["e0", "e1"] {
        let has = &doctor["executors"][name];
        assert!(has["plugins"]["scaled"].is_string() && has["device"] == "cpu" && has["doctor"].is_object(), "{has}");
    }
}
