//! A job resumes in a folder with leftovers, also of other writers.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::jobs::{Place, SHARDS, assert_good, begin, edit, open_job, put, refusal, run, write_shard};
use crate::support::open;
use anyflow_datasets::{DatasetError, Folder, JobId};
use serde_json::Value;

/// A change of an output, and the shards that the next run writes again.
type Change<'c> = (&'c dyn Fn(&Path), &'c [u64]);

#[test]
fn an_orphan_process_cannot_commit_to_its_successors_folder() {
    let place = Place::new();
    let out = place.at("out");
    let orphan = open_job(&out, 1).unwrap();
    write_shard(&orphan, 0, 1).unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    run(&out, 2);
    for shard in 1..SHARDS {
        assert!(matches!(write_shard(&orphan, shard, 1), Err(DatasetError::Lost { .. })));
    }
    assert!(matches!(orphan.finish(), Err(DatasetError::Lost { .. })));
    assert!(matches!(orphan.write_failures(), Err(DatasetError::Lost { .. })));
    drop(orphan);
    assert_good(&out, 2);
}

#[test]
fn a_folder_that_someone_else_changed_is_not_finished() {
    let changes: [Change; 4] = [
        (&|out| std::fs::remove_file(out.join("commits/00001.json")).unwrap(), &[1]),
        // It is a good commit of this job, but this process did not write it.
        (&|out| edit(&out.join("commits/00001.json"), |commit| commit["attempt"] = 9.into()), &[]),
        (&|out| std::fs::remove_file(out.join("data/shard-00001.parquet")).unwrap(), &[1]),
        (&|out| std::fs::write(out.join("data/shard-00001.parquet"), b"PAR1").unwrap(), &[1]),
    ];
    for (change, again) in changes {
        let place = Place::new();
        let output = open_job(&place.at("out"), 1).unwrap();
        (0..SHARDS).for_each(|shard| write_shard(&output, shard, 1).unwrap());
        change(&place.at("out"));
        assert!(matches!(output.finish(), Err(DatasetError::Lost { .. })));
        assert!(!place.at("out/manifest.json").exists());
        drop(output);
        assert_eq!(run(&place.at("out"), 1), again);
        assert_good(&place.at("out"), 1);
    }
}

#[test]
fn commits_of_another_job_are_removed() {
    let place = Place::new();
    run(&place.at("a"), 1);
    begin(&place.at("b"), 2, &[0]);
    for shard in [1, 3] {
        for file in [format!("commits/{shard:05}.json"), format!("data/shard-{shard:05}.parquet")] {
            put(place.at("a").join(&file), place.at("b").join(&file));
        }
    }
    put(place.at("a/manifest.json"), place.at("b/manifest.json"));
    let error = refusal(place.at("b"));
    let [a, b] = [1, 2].map(|seed| JobId::default().with("seed", seed).fingerprint());
    let told = format!("is of the job {}, but job.json is of the job {};", &a[..12], &b[..12]);
    assert!(error.to_string().contains(&told), "{error}");
    assert_eq!(run(&place.at("b"), 2), [1, 2, 3]);
    assert_good(&place.at("b"), 2);
}

#[test]
fn commits_that_do_not_match_their_name_or_file_are_removed() {
    let commit = |out: &Path, shard: u64| out.join(format!("commits/{shard:05}.json"));
    let spoil: [Change; 8] = [
        // A commit under another number, with its own or a changed number in it, also beyond the end.
        (&|out| put(commit(out, 1), commit(out, 9)), &[]),
        (&|out| put(commit(out, 1), commit(out, 2)), &[2]),
        (
            &|out| {
                put(commit(out, 1), commit(out, 9));
                edit(&commit(out, 9), |commit| commit["shard"] = 9.into());
            },
            &[],
        ),
        (
            &|out| {
                let data = out.join("data");
                put(data.join("shard-00001.parquet"), data.join("shard-00009.parquet"));
                put(commit(out, 1), commit(out, 9));
                edit(&commit(out, 9), |commit| {
                    commit["shard"] = 9.into();
                    commit["file"] = "data/shard-00009.parquet".into();
                });
            },
            &[],
        ),
        // Another shard's file in its place, and a commit that says so.
        (&|out| put(out.join("data/shard-00001.parquet"), out.join("data/shard-00003.parquet")), &[3]),
        (
            &|out| {
                put(out.join("data/shard-00001.parquet"), out.join("data/shard-00003.parquet"));
                let one: Value = serde_json::from_slice(&std::fs::read(commit(out, 1)).unwrap()).unwrap();
                edit(&commit(out, 3), |commit| {
                    commit["size_bytes"] = one["size_bytes"].clone();
                    commit["rows"] = one["rows"].clone();
                });
            },
            &[3],
        ),
        (&|out| edit(&commit(out, 0), |commit| commit["file"] = "data/shard-00001.parquet".into()), &[0]),
        (&|out| std::fs::write(commit(out, 2), b"{\"shard\": 2").unwrap(), &[2]),
    ];
    for (index, (spoil, again)) in spoil.into_iter().enumerate() {
        let place = Place::new();
        run(&place.at("out"), 1);
        spoil(&place.at("out"));
        assert_eq!(run(&place.at("out"), 1), again, "case {index}");
        assert_good(&place.at("out"), 1);
        assert_eq!(std::fs::read_dir(place.at("out/commits")).unwrap().count() as u64, SHARDS, "case {index}");
    }
}

/// A disk that does not respond is no reason to delete.
#[test]
fn a_shard_that_the_system_cannot_open_keeps_its_commit() {
    let place = Place::new();
    let out = place.at("out");
    run(&out, 1);
    let shard = out.join("data/shard-00001.parquet");
    std::fs::rename(&shard, place.at("aside")).unwrap();
    symlink(&shard, &shard).unwrap();
    assert!(matches!(open_job(&out, 1), Err(DatasetError::Io { .. })));
    std::fs::rename(place.at("aside"), &shard).unwrap();
    assert_eq!(run(&out, 1), [0; 0]);
    assert_good(&out, 1);
}

#[test]
fn only_our_own_files_are_removed() {
    let place = Place::new();
    let out = place.at("out");
    run(&out, 1);
    let theirs = [
        "data/thesis.tex",
        "data/mine.parquet",
        "data/shard-1.parquet",
        "data/shard-00001.parquet.bak",
        "data/.shard-00001.parquet.tmp",
        "data/shard-000010.parquet",
        "commits/notes.txt",
        "commits/1.json",
        ".hidden.tmp",
        "notes.txt",
    ];
    theirs.iter().for_each(|name| std::fs::write(out.join(name), b"precious").unwrap());
    std::fs::create_dir(out.join("data/shard-00008.parquet")).unwrap();
    std::fs::write(place.at("elsewhere"), b"precious").unwrap();
    symlink(place.at("elsewhere"), out.join("data/shard-00009.parquet")).unwrap();
    std::fs::write(out.join("data/shard-00007.parquet"), b"ours, without a commit").unwrap();
    std::fs::write(out.join("data/.shard-00007.parquet.1f-2.tmp"), b"ours, half written").unwrap();
    assert_eq!(run(&out, 1), [0; 0]);
    for name in theirs {
        assert_eq!(std::fs::read(out.join(name)).unwrap(), b"precious", "{name}");
    }
    assert!(out.join("data/shard-00008.parquet").is_dir());
    assert_eq!(std::fs::read(out.join("data/shard-00009.parquet")).unwrap(), b"precious");
    assert!(!out.join("data/shard-00007.parquet").exists());
    assert!(!out.join("data/.shard-00007.parquet.1f-2.tmp").exists());
}

#[test]
fn nothing_is_removed_through_a_link() {
    for linked in ["data", "commits"] {
        for finished in [true, false] {
            let place = Place::new();
            let out = place.at("out");
            let disk = place.at("disk");
            if finished {
                drop(run(&out, 1))
            } else {
                begin(&out, 1, &[0, 1])
            }
            std::fs::rename(out.join(linked), &disk).unwrap();
            std::fs::write(disk.join("thesis.tex"), b"precious").unwrap();
            std::fs::write(disk.join("shard-00007.parquet"), b"precious").unwrap();
            symlink(&disk, out.join(linked)).unwrap();
            let error = open_job(&out, 1).unwrap_err();
            assert!(matches!(error, DatasetError::Linked { .. }), "{error}");
            assert_eq!(error.fault().exit_code(), 2);
            assert!(["thesis.tex", "shard-00007.parquet"].iter().all(|name| disk.join(name).exists()));
        }
    }
}

#[test]
fn an_older_jobs_folder_is_refused_and_its_finished_data_still_read() {
    let place = Place::new();
    let out = place.at("out");
    run(&out, 1);
    std::fs::write(out.join("job.json"), br#"{"format": 1, "fingerprint": "f"}"#).unwrap();
    let error = open_job(&out, 1).unwrap_err().to_string();
    assert!(error.contains("has format 1") && error.contains("finish it with the version that began it"), "{error}");
    edit(&out.join("manifest.json"), |manifest| {
        manifest["format"] = 1.into();
        manifest["fingerprint"] = "f".into();
        manifest.as_object_mut().unwrap().remove("failures_file");
    });
    // The files were written without marks then; these have some of another job.
    let error = refusal(out.clone());
    assert!(matches!(error, DatasetError::NotAsListed { .. }), "{error}");
    let job = Folder::open(&place.at("other")).unwrap();
    JobId::default().with("seed", 1).write(&job, "job.json").unwrap();
    let fingerprint = JobId::default().with("seed", 1).fingerprint();
    edit(&out.join("job.json"), |job| job["fingerprint"] = fingerprint.clone().into());
    edit(&out.join("manifest.json"), |manifest| manifest["fingerprint"] = fingerprint.into());
    assert_eq!(open(&out).rows(), 16);
}
