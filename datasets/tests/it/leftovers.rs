//! What killed processes leave: the attempts at their shards, and files that no commit names.

use std::time::Duration;

use crate::jobs::{Place, begin, open_job, write_shard};
use anyflow_datasets::{DatasetError, Orphan, ShardAttempts, job_progress, remove_orphans};

fn attempts(shard: u64, attempts: u64) -> ShardAttempts {
    ShardAttempts { shard, attempts, error: None }
}

#[test]
fn attempts_are_kept_until_the_shard_is_committed() {
    let place = Place::new();
    let out = place.at("out");
    let output = open_job(&out, 1).unwrap();
    assert_eq!(output.attempts().unwrap(), []);
    let died = ShardAttempts { error: Some("signal 6".into()), ..attempts(2, 3) };
    let kept = [attempts(3, 1), died.clone(), attempts(0, 1), attempts(3, 2)];
    kept.iter().for_each(|found| output.keep_attempts(found).unwrap());
    std::fs::write(out.join("attempts/notes.txt"), b"mine").unwrap();
    write_shard(&output, 0, 1).unwrap();
    let left = [died.clone(), attempts(3, 2)];
    assert_eq!(job_progress(&out).unwrap()[0].tries, left);
    assert!(out.join("attempts/00000.json").exists(), "looking removes nothing");
    assert_eq!(output.attempts().unwrap(), left);
    assert!(!out.join("attempts/00000.json").exists(), "the shard is committed");
    output.forget_attempts(3).unwrap();
    output.forget_attempts(3).unwrap();
    assert_eq!(output.attempts().unwrap(), [died]);
    assert!(out.join("attempts/notes.txt").exists());
}

#[test]
fn files_that_no_commit_names_are_removed_and_no_others() {
    let place = Place::new();
    let out = place.at("out");
    let remove = || remove_orphans(&out, Duration::ZERO);
    assert!(matches!(remove(), Err(DatasetError::Missing { path }) if path == out.join("job.json")));
    begin(&out.join("parts/1-of-2"), 1, &[1]);
    assert_eq!(remove().unwrap(), [], "parts without a job of the whole");
    begin(&out, 1, &[0]);
    std::fs::create_dir(out.join("attempts")).unwrap();
    let orphans = [
        ".manifest.json.1f-2.tmp",
        "data/.shard-00002.parquet.1f-2.tmp",
        "commits/.00002.json.1f-2.tmp",
        "attempts/.00002.json.1f-2.tmp",
        "data/shard-00003.parquet",
        "parts/1-of-2/data/shard-00000.parquet",
    ];
    let others = ["notes.txt", ".notes.tmp", "data/mine.parquet", "data/shard-3.parquet", "commits/notes.txt"];
    orphans.iter().chain(&others).for_each(|name| std::fs::write(out.join(name), b"1234").unwrap());
    let writer = open_job(&out.join("parts/2-of-2"), 1).unwrap();
    assert!(matches!(remove(), Err(DatasetError::Busy { .. })));
    drop(writer);
    orphans.iter().for_each(|name| std::fs::write(out.join(name), b"1234").unwrap());
    assert_eq!(remove().unwrap(), orphans.map(|name| Orphan { file: name.into(), size_bytes: 4 }));
    assert_eq!(remove().unwrap(), []);
    let kept = ["data/shard-00000.parquet", "commits/00000.json", "parts/1-of-2/data/shard-00001.parquet", "job.json"];
    others.iter().chain(&kept).for_each(|name| assert!(out.join(name).exists(), "{name}"));
}
