use super::*;
use crate::output::FileHash;
use crate::store::faulty::{Fault, Faulty, Rule, passing};
use crate::write::WrittenFile;

const JOB: &str = "the job";
const EXPECTED: Expected = Expected { shards: 3, rows: 6 };

fn stored() -> Stored {
    Stored::in_memory("out", None)
}

/// A part of the same job in the same store.
fn part_of(stored: &Stored, shards: Range<u64>) -> Stored {
    let part = StoredPart { name: "1-of-2".into(), shards };
    Stored { address: stored.address.clone(), part: Some(part) }
}

fn written(content: &str) -> WrittenFile {
    let blake3 = blake3::hash(content.as_bytes()).to_hex().to_string();
    WrittenFile { rows: 2, size_bytes: content.len() as u64, blake3 }
}

/// A shard whose file is in the store.
fn put(stored: &Stored, shard: u64, content: &str) -> Commit {
    let shard = Shard::with_file(shard, written(content)).in_store();
    stored.write(shard.file.as_deref().unwrap(), content.as_bytes()).unwrap();
    Commit { shard, job: JOB.into(), attempt: 1, failures: Vec::new() }
}

fn put_committed(stored: &Stored, shard: u64) -> Commit {
    stored.commit(put(stored, shard, &format!("rows {shard}"))).unwrap()
}

fn manifest(commits: &[Commit]) -> Manifest {
    Manifest::new(JOB, commits.iter(), FileHash { size_bytes: 0, blake3: String::new() })
}

fn is_lost<T>(result: Result<T>) -> bool {
    matches!(result, Err(DatasetError::Lost { path }) if path == Path::new("memory://out"))
}

#[test]
fn the_first_commit_of_a_shard_holds() {
    let stored = stored();
    let first = put_committed(&stored, 0);
    assert_eq!(stored.commit(first.clone()).unwrap(), first, "as after a lost answer");
    let equal = Commit { attempt: 2, ..first.clone() };
    assert_eq!(stored.commit(equal).unwrap(), first);
    let second = put(&stored, 0, "other rows");
    assert_eq!(stored.commit(second).unwrap(), first);
    let file = first.shard.file.as_deref().unwrap();
    assert_eq!(stored.names(DATA_FOLDER).unwrap(), [&file["data/".len()..]], "the file of the second is removed");
    let other = Commit { job: "another".into(), ..first };
    assert!(is_lost(stored.commit(other)));
}

#[test]
fn a_job_resumes_with_the_commits_that_hold() {
    let stored = stored();
    let spoil = |shard: u64, edit: &dyn Fn(&mut Commit)| {
        let mut commit = put(&stored, shard, &format!("rows {shard}"));
        edit(&mut commit);
        stored.write(&commit_file(shard), &record::to_json(&commit).unwrap()).unwrap();
        commit
    };
    let whole = spoil(0, &|_| {});
    let empty = spoil(1, &|commit| commit.shard = Shard::without_file(1));
    spoil(2, &|commit| commit.job = "another".into());
    spoil(3, &|commit| commit.shard.shard = 9);
    spoil(4, &|commit| commit.shard.file = whole.shard.file.clone());
    spoil(5, &|commit| commit.shard.size_bytes += 1);
    let gone = spoil(6, &|_| {});
    stored.remove(gone.shard.file.as_deref().unwrap()).unwrap();
    stored.write(&commit_file(7), b"{").unwrap();
    spoil(8, &|commit| commit.job = "beyond the end".into());
    stored.write("commits/notes.txt", b"mine").unwrap();
    stored.write(MANIFEST_FILE, b"{}").unwrap();
    let found = stored.recover(JOB, Expected { shards: 8, rows: 16 }).unwrap();
    assert_eq!(found, BTreeMap::from([(0, whole), (1, empty)]));
    assert_eq!(stored.names(COMMIT_FOLDER).unwrap(), ["00000.json", "00001.json", "00008.json", "notes.txt"]);
    assert_eq!(stored.read(MANIFEST_FILE).unwrap(), None);
}

#[test]
fn a_manifest_stays_if_it_is_of_the_job_and_lists_its_commits() {
    let stored = stored();
    let commits: Vec<Commit> = (0..3).map(|shard| put_committed(&stored, shard)).collect();
    let there = |manifest: &Manifest| {
        stored.write(MANIFEST_FILE, &record::to_json(manifest).unwrap()).unwrap();
        assert_eq!(stored.recover(JOB, EXPECTED).unwrap().len(), 3);
        stored.read(MANIFEST_FILE).unwrap().is_some()
    };
    assert!(there(&manifest(&commits)));
    assert!(!there(&Manifest { fingerprint: "another".into(), ..manifest(&commits) }));
    assert!(!there(&Manifest { format: 9, ..manifest(&commits) }));
    assert!(!there(&manifest(&commits[..2])));
    // A part knows only some of the commits.
    stored.write(MANIFEST_FILE, &record::to_json(&manifest(&commits)).unwrap()).unwrap();
    let part = part_of(&stored, 1..3);
    assert_eq!(part.recover(JOB, EXPECTED).unwrap().into_keys().collect::<Vec<_>>(), [1, 2]);
    assert!(part.read(MANIFEST_FILE).unwrap().is_some());
    assert_eq!([0, 1, 3].map(|shard| part.has_shard(shard)), [false, true, false]);
}

#[test]
fn commits_of_others_are_taken_over_and_ours_must_be_there() {
    let stored = stored();
    let mut known = BTreeMap::from([(0, put_committed(&stored, 0))]);
    put_committed(&stored, 1);
    stored.refresh(JOB, EXPECTED, &mut known).unwrap();
    assert_eq!(known.keys().copied().collect::<Vec<_>>(), [0, 1]);
    known.get_mut(&0).unwrap().attempt = 2;
    assert!(is_lost(stored.refresh(JOB, EXPECTED, &mut known)));
    known.get_mut(&0).unwrap().attempt = 1;
    stored.remove(&commit_file(1)).unwrap();
    assert!(is_lost(stored.refresh(JOB, EXPECTED, &mut known)));
}

#[test]
fn the_manifest_of_another_job_is_not_replaced() {
    let stored = stored();
    let ours = manifest(&[put_committed(&stored, 0)]);
    stored.finish(&ours).unwrap();
    stored.finish(&ours).unwrap();
    // Equal, but written with other spaces.
    stored.write(MANIFEST_FILE, &serde_json::to_vec(&ours).unwrap()).unwrap();
    stored.finish(&ours).unwrap();
    assert!(is_lost(stored.finish(&Manifest { rows: 9, ..ours })));
}

#[test]
fn objects_that_an_output_would_replace_are_refused() {
    for found in ["data/a", "commits/a", MANIFEST_FILE, FAILURES_FILE, "mine.parquet"] {
        let stored = stored();
        stored.write(found, b"theirs").unwrap();
        let error = stored.refuse_foreign().unwrap_err();
        assert!(matches!(&error, DatasetError::NotOurs { found: named, .. } if named == found), "{error}");
    }
    let stored = stored();
    let others = ["notes.txt", ".a.parquet", "mine/a.parquet", "mine/data/a", "data", "database/a", "README.md"];
    others.iter().for_each(|name| stored.write(name, b"theirs").unwrap());
    stored.refuse_foreign().unwrap();
}

#[test]
fn only_shards_without_a_commit_are_orphans() {
    let stored = stored();
    put_committed(&stored, 0);
    let orphan = put(&stored, 1, "rows 1").shard;
    let again = put(&stored, 0, "other rows").shard;
    for name in ["data/mine.parquet", "data/shard-00003.parquet", "data/shard-00003-0123.parquet", "notes.txt"] {
        stored.write(name, b"theirs").unwrap();
    }
    let found = stored.shards_without_commit().unwrap().into_iter().map(|object| format!("data/{}", object.name));
    assert_eq!(found.collect::<Vec<_>>(), [again.file.unwrap(), orphan.file.unwrap()]);
}

#[test]
fn an_upload_whose_answer_is_lost_is_known_by_its_name_and_length() {
    let rules: [(&str, Rule); 2] = [
        ("fails", |request, _| request.starts_with("put").then(|| Fault::Fails(passing()))),
        ("loses", |request, _| request.starts_with("put").then(|| Fault::Loses(passing()))),
    ];
    for (name, rule) in rules {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        folder.make_folder(DATA_FOLDER).unwrap();
        let stored = Stored { address: Faulty::new(rule).address("out"), part: None };
        let shard = Shard::with_file(0, written("rows"));
        let file = shard.file.clone().unwrap();
        folder.write(&file, b"rows").unwrap();
        let uploaded = stored.upload(&folder, shard.clone());
        assert_eq!(uploaded.is_ok(), name == "loses", "{uploaded:?}");
        assert_eq!(folder.has(&file).unwrap(), name == "fails", "an uploaded file is removed");
        // An object of another length is not that file.
        folder.write(&file, b"cut").unwrap();
        stored.remove(shard.clone().in_store().file.as_deref().unwrap()).unwrap();
        assert!(stored.upload(&folder, shard).is_err());
    }
}

#[test]
fn a_part_says_what_it_does() {
    let whole = stored();
    whole.write_part(EXPECTED, None, false).unwrap();
    assert!(whole.parts().unwrap().is_empty());
    let part = part_of(&whole, 1..3);
    let record = || whole.parts().unwrap().remove("1-of-2").unwrap();
    part.write_part(EXPECTED, None, false).unwrap();
    let begun = record();
    assert_eq!((begun.job, begun.shards, begun.is_complete, begun.license), (EXPECTED, (1, 3), false, None));
    assert_eq!(begun.holder.split(' ').nth(1), Some(std::process::id().to_string().as_str()));
    part.write_part(EXPECTED, Some("MIT"), true).unwrap();
    assert_eq!((record().is_complete, record().license.as_deref()), (true, Some("MIT")));
    whole.write("parts/notes.txt", b"mine").unwrap();
    assert_eq!(whole.parts().unwrap().len(), 1);
}
