//! Killed anywhere, a job resumes and writes each row exactly once.

use std::path::Path;
use std::process::Command;

use crate::support::{all_ids, numbered_batch, open};
use anyflow_datasets::{Dataset, DatasetError, FAILURES_FILE, Failure, JobId, Manifest, OutputDir};

const SHARDS: u64 = 4;
const SHARD_ROWS: i64 = 10;
const OUTPUT_VARIABLE: &str = "ANYFLOW_TEST_OUTPUT";

fn job(name: &str) -> JobId {
    JobId { fingerprint: name.into() }
}

/// Row 3 of every shard fails.
fn write_shard(output: &OutputDir, shard: u64) -> Result<(), DatasetError> {
    let first = shard as i64 * SHARD_ROWS;
    let (before, features) = numbered_batch(first, 3);
    let (after, _) = numbered_batch(first + 4, SHARD_ROWS - 4);
    let failure = Failure {
        row_key: (first + 3).to_string(),
        row: (first + 3) as u64,
        node: "picture".into(),
        code: "test".into(),
        text: "meant to fail".into(),
    };
    output.write_shard(shard, &[before, after], &features, &[failure])
}

/// What a runner does; returns the shards that it had to do.
fn run(folder: &Path) -> Result<Vec<u64>, DatasetError> {
    let output = OutputDir::open(folder, &job("one"))?;
    let todo: Vec<u64> = (0..SHARDS).filter(|shard| !output.committed(*shard)).collect();
    todo.iter().try_for_each(|shard| write_shard(&output, *shard))?;
    output.finish()?;
    Ok(todo)
}

fn assert_exactly_once(folder: &Path) {
    let dataset = open(folder);
    let expected: Vec<i64> = (0..SHARDS as i64 * SHARD_ROWS).filter(|id| id % SHARD_ROWS != 3).collect();
    assert_eq!(all_ids(&dataset), expected);
    let failures = open(&folder.join(FAILURES_FILE));
    assert_eq!(failures.rows(), SHARDS);
    let manifest = Manifest::read(folder).unwrap();
    assert_eq!((manifest.rows, manifest.failures), (expected.len() as u64, SHARDS));
    let mut names: Vec<String> = Vec::new();
    for place in ["", "data", "commits"] {
        names.extend(
            std::fs::read_dir(folder.join(place)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()),
        );
    }
    assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("shard-")).count() as u64, SHARDS);
}

#[test]
fn a_job_runs_through_and_again_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path()).unwrap(), [0, 1, 2, 3]);
    assert_exactly_once(folder.path());
    assert_eq!(run(folder.path()).unwrap(), [0; 0]);
    assert_exactly_once(folder.path());
}

/// Not a test of its own: the process that `a_process_killed_at_any_step_resumes` kills.
#[test]
fn child_that_is_killed() {
    if let Some(folder) = std::env::var_os(OUTPUT_VARIABLE) {
        run(Path::new(&folder)).unwrap();
    }
}

fn run_child(folder: &Path, failpoint: &str) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["committing::child_that_is_killed", "--exact", "--quiet"])
        .env(OUTPUT_VARIABLE, folder)
        .env("ANYFLOW_FAILPOINT", failpoint)
        .output()
        .unwrap()
        .status;
    status.success()
}

#[test]
fn a_process_killed_at_any_step_resumes() {
    let killed_after = [
        ("job-named", 4),
        ("file-written", 4),
        ("file-written:2", 2),
        ("shard-renamed", 4),
        ("shard-renamed:3", 1),
        ("committed", 3),
        ("committed:3", 0),
        // The fifth file is the table of failures.
        ("file-written:4", 0),
        ("failures-written", 0),
        ("finished", 0),
    ];
    for (failpoint, shards_left) in killed_after {
        let folder = tempfile::tempdir().unwrap();
        assert!(!run_child(folder.path(), failpoint), "{failpoint} was not reached");
        if failpoint != "finished" {
            let error = Dataset::open(&[folder.path().to_path_buf()]).unwrap_err();
            assert!(matches!(error, DatasetError::Unfinished { .. }), "{failpoint}: {error}");
        }
        assert_eq!(run(folder.path()).unwrap().len(), shards_left, "{failpoint}");
        assert_exactly_once(folder.path());
    }
}

#[test]
fn killed_again_and_again_it_still_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut kills = 0;
    // The second commit of each attempt is its last.
    while !run_child(folder.path(), "committed:1") {
        kills += 1;
        assert!(kills < 5);
    }
    assert_eq!(kills, 2);
    assert_exactly_once(folder.path());
}

#[test]
fn leftovers_of_every_kind_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path()).unwrap();
    let at = |name: &str| folder.path().join(name);
    // A shard without commit, temporary files in all places, a commit file that never got its name.
    std::fs::remove_file(at("manifest.json")).unwrap();
    std::fs::rename(at("commits/00002.json"), at("commits/.00002.json.tmp")).unwrap();
    std::fs::write(at("data/.shard-00009.parquet.tmp"), b"half").unwrap();
    std::fs::write(at(".manifest.json.tmp"), b"{").unwrap();
    std::fs::copy(at("data/shard-00000.parquet"), at("data/shard-00007.parquet")).unwrap();
    assert_eq!(run(folder.path()).unwrap(), [2]);
    assert_exactly_once(folder.path());
}

#[test]
fn a_deleted_shard_or_commit_is_done_again_even_after_the_end() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("data/shard-00001.parquet")).unwrap();
    assert_eq!(run(folder.path()).unwrap(), [1]);
    std::fs::remove_file(folder.path().join("commits/00003.json")).unwrap();
    let output = OutputDir::open(folder.path(), &job("one")).unwrap();
    assert!(Manifest::read(folder.path()).is_err(), "the manifest must not name a removed shard");
    drop(output);
    assert_eq!(run(folder.path()).unwrap(), [3]);
    assert_exactly_once(folder.path());
}

#[test]
fn another_jobs_folder_is_refused_and_untouched() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path()).unwrap();
    let error = OutputDir::open(folder.path(), &job("two")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("another job (one, this job is two); choose another --output"), "{text}");
    assert_exactly_once(folder.path());
}

#[test]
fn a_folder_with_other_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.parquet"), b"x").unwrap();
    let error = OutputDir::open(folder.path(), &job("one")).unwrap_err();
    assert!(matches!(&error, DatasetError::NotOurs { found, .. } if found == "mine.parquet"), "{error}");
    assert!(folder.path().join("mine.parquet").exists());
    assert!(!folder.path().join("job.json").exists());
}

#[cfg(unix)]
#[test]
fn one_process_writes_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = OutputDir::open(folder.path(), &job("one")).unwrap();
    assert!(matches!(OutputDir::open(folder.path(), &job("one")), Err(DatasetError::Busy { .. })));
    drop(first);
    OutputDir::open(folder.path(), &job("one")).unwrap();
}

#[test]
fn threads_share_the_folder_and_shards_come_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let output = OutputDir::open(folder.path(), &job("one")).unwrap();
    std::thread::scope(|scope| {
        for shard in (0..SHARDS).rev() {
            let output = &output;
            scope.spawn(move || write_shard(output, shard).unwrap());
        }
    });
    assert_eq!(output.progress(), (36, 4));
    output.finish().unwrap();
    assert_exactly_once(folder.path());
}

#[test]
fn a_missing_or_doubled_shard_is_our_bug() {
    let folder = tempfile::tempdir().unwrap();
    let output = OutputDir::open(folder.path(), &job("one")).unwrap();
    write_shard(&output, 1).unwrap();
    assert!(matches!(output.finish(), Err(DatasetError::Internal { .. })));
    assert!(matches!(write_shard(&output, 1), Err(DatasetError::Internal { .. })));
}

#[test]
fn a_shard_whose_rows_all_failed_has_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let output = OutputDir::open(folder.path(), &job("one")).unwrap();
    let (_, features) = numbered_batch(0, 1);
    output.write_shard(0, &[], &features, &[]).unwrap();
    output.finish().unwrap();
    let error = Dataset::open(&[folder.path().to_path_buf()]).unwrap_err();
    assert!(error.to_string().contains("failures.parquet"), "{error}");
}

#[test]
fn an_interrupted_run_writes_the_same_bytes() {
    let [whole, cut] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    run(whole.path()).unwrap();
    run_child(cut.path(), "shard-renamed:1");
    run(cut.path()).unwrap();
    for name in ["data/shard-00001.parquet", "failures.parquet", "manifest.json"] {
        assert_eq!(
            std::fs::read(whole.path().join(name)).unwrap(),
            std::fs::read(cut.path().join(name)).unwrap(),
            "{name}"
        );
    }
}
