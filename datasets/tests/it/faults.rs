//! Each system call of a job fails once, and each file is safe on disk before the next step names it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::jobs::{Place, assert_good, begin, copy, put, run, try_run};
use anyflow_datasets::{Fault, Folder, Manifest};

const OUTPUT_VARIABLE: &str = "ANYFLOW_TEST_FAULTY_OUTPUT";

const ENOENT: i32 = 2;
const ENOSPC: i32 = 28;

/// Exit code of an error that is a bug of ours.
const BUG: i32 = 70;

/// Not a test of its own: the job that the others disturb.
#[test]
fn child_whose_calls_fail() {
    let Some(out) = std::env::var_os(OUTPUT_VARIABLE) else { return };
    if let Err(error) = try_run(Path::new(&out), 1) {
        eprintln!("refused: {error}");
        let code = if error.fault() == Fault::Internal { BUG } else { error.fault().exit_code() };
        std::process::exit(code);
    }
}

/// Not a test of its own: it appends to a log, which [`an_appended_log_is_safe_once_it_is_synced`] watches.
#[test]
fn child_that_appends() {
    let Some(out) = std::env::var_os(OUTPUT_VARIABLE) else { return };
    let folder = Folder::open(Path::new(&out)).unwrap();
    folder.append("log").unwrap().write_all(b"line\n").unwrap();
    folder.sync("log").unwrap();
}

/// `tests/native/inject.c`, which makes system calls fail or notes them in a journal.
struct Shim(Place);

impl Shim {
    fn build() -> Shim {
        let place = Place::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/native/inject.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-std=gnu11", "-O1", "-shared", "-fPIC", "-o"]).arg(place.at("inject.so")).arg(source);
        assert!(compiler.args(["-ldl", "-lpthread"]).status().unwrap().success());
        Shim(place)
    }

    /// The job of [`child_whose_calls_fail`] in the folder `out`; calls below `watched` count.
    fn job(&self, out: &Path, watched: &Path) -> Command {
        self.child("child_whose_calls_fail", out, watched)
    }

    fn child(&self, name: &str, out: &Path, watched: &Path) -> Command {
        std::fs::write(self.0.at("state"), [0; 4096]).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("faults::{name}"), "--exact", "--nocapture"]).env(OUTPUT_VARIABLE, out);
        command.env("LD_PRELOAD", self.0.at("inject.so")).env("FAULTS_STATE", self.0.at("state"));
        command.env("FAULTS_BELOW", watched.canonicalize().unwrap());
        command
    }

    /// How often a call was made.
    fn made(&self, call: &str) -> u64 {
        let state = std::fs::read(self.0.at("state")).unwrap();
        let is_it = |slot: &&[u8]| slot[..16].split(|byte| *byte == 0).next() == Some(call.as_bytes());
        let slot = state[16..].chunks_exact(24).find(is_it).unwrap();
        u64::from_ne_bytes(slot[16..].try_into().unwrap())
    }

    /// How often a call failed.
    fn fired(&self) -> u64 {
        u64::from_ne_bytes(std::fs::read(self.0.at("state")).unwrap()[..8].try_into().unwrap())
    }

    /// The steps of a child that runs through.
    fn journal(&self, mut child: Command) -> Vec<Step> {
        std::fs::write(self.0.at("journal"), b"").unwrap();
        let output = child.env("FAULTS_JOURNAL", self.0.at("journal")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        steps(&std::fs::read(self.0.at("journal")).unwrap())
    }
}

/// A step on the disk, by the letter that `inject.c` gives it.
#[derive(Debug)]
struct Step {
    kind: char,
    path: PathBuf,
    /// The new name in a rename.
    to: PathBuf,
}

fn steps(mut journal: &[u8]) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(end) = journal.iter().position(|byte| *byte == b'\n') {
        let head = std::str::from_utf8(&journal[..end]).unwrap();
        let lengths: Vec<usize> = head.split(' ').skip(3).map(|length| length.parse().unwrap()).collect();
        let (path, rest) = journal[end + 1..].split_at(lengths[0]);
        let (to, rest) = rest.split_at(lengths[1]);
        let path_of = |bytes: &[u8]| PathBuf::from(std::str::from_utf8(bytes).unwrap());
        steps.push(Step { kind: head.chars().next().unwrap(), path: path_of(path), to: path_of(to) });
        journal = &rest[lengths[2]..];
    }
    steps
}

/// An output with two of four shards, and what killed processes left in it.
fn half_done(out: &Path) {
    begin(out, 1, &[0, 1]);
    put(out.join("data/shard-00001.parquet"), out.join("data/shard-00003.parquet"));
    put(out.join("data/shard-00001.parquet"), out.join("data/.shard-00002.parquet.1f-2.tmp"));
}

/// The job in which each call of a kind fails once, one after the other, and then the job again without a fault.
fn each_call_fails(call: &str, error: i32, may_end_with: &[i32]) {
    let shim = Shim::build();
    let place = Place::new();
    run(&place.at("whole"), 1);
    half_done(&place.at("half"));
    for nth in 1.. {
        let case = Place::new();
        let out = case.at("out");
        let what = format!("{call} number {nth}, error {error}");
        copy(&place.at("half"), &out);
        let mut job = shim.job(&out, &out);
        job.env("FAULTS_CALL", call).env("FAULTS_ERROR", error.to_string());
        let ended = job.env("FAULTS_NTH", nth.to_string()).env("FAULTS_TIMES", "1").output().unwrap();
        if shim.fired() == 0 {
            assert!(nth > 1 && nth > shim.made(call), "{what}: it was never made");
            return;
        }
        assert_ended(&ended, &out, may_end_with, &what);
        run(&out, 1);
        assert_good(&out, 1);
        assert_same_output(&place.at("whole"), &out, &what);
    }
}

/// Success, or an error that is not the user's.
const RUN: [i32; 2] = [0, 1];

#[test]
fn a_full_disk_loses_no_row() {
    each_call_fails("write", ENOSPC, &RUN);
}

/// A file system that denies every file from some moment on is an error, not an endless loop.
#[test]
fn calls_that_fail_from_some_moment_on_end_the_job() {
    let shim = Shim::build();
    let place = Place::new();
    half_done(&place.at("half"));
    for nth in 1..12 {
        let case = Place::new();
        let out = case.at("out");
        copy(&place.at("half"), &out);
        let mut job = shim.job(&out, &out);
        job.env("FAULTS_CALL", "stat").env("FAULTS_ERROR", ENOENT.to_string());
        let ended = job.env("FAULTS_NTH", nth.to_string()).env("FAULTS_TIMES", "100000").output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "from stat {nth}: {ended:?}");
        assert!(!out.join("manifest.json").exists());
        run(&out, 1);
        assert_good(&out, 1);
    }
}

/// The job succeeded, or it was refused with an error and says nothing wrong about what is there.
fn assert_ended(ended: &Output, out: &Path, may_end_with: &[i32], what: &str) {
    let code = ended.status.code();
    assert!(code.is_some_and(|code| may_end_with.contains(&code)), "{what}: {ended:?}");
    if code == Some(0) {
        assert_good(out, 1);
    } else if out.join("manifest.json").exists() {
        assert_eq!(Manifest::read(out).unwrap().verify(out).unwrap().damaged, [], "{what}");
    }
}

fn assert_same_output(one: &Path, other: &Path, what: &str) {
    for shard in 0..4 {
        assert_same(one, other, &format!("data/shard-{shard:05}.parquet"), what);
    }
    for name in ["job.json", "failures.parquet", "README.md", "manifest.json"] {
        assert_same(one, other, name, what);
    }
}

fn assert_same(one: &Path, other: &Path, name: &str, what: &str) {
    let [one, other] = [one, other].map(|folder| std::fs::read(folder.join(name)).unwrap());
    assert!(one == other, "{what}: {name}");
}

/// True for the sync of the folder that `path` is in.
fn is_sync_of_folder(step: Option<&Step>, path: &Path) -> bool {
    step.is_some_and(|step| step.kind == 'd' && Some(step.path.as_path()) == path.parent())
}

/// After each rename, new folder and removal the names are safe; before each rename the content is.
fn assert_each_step_is_safe(steps: &[Step]) {
    for (index, step) in steps.iter().enumerate() {
        let next = steps.get(index + 1);
        match step.kind {
            'r' => {
                let of_file = |earlier: &&Step| earlier.path == step.path && "wst".contains(earlier.kind);
                let last = steps[..index].iter().rfind(of_file);
                assert!(last.is_some_and(|last| last.kind == 's'), "not synced before {step:?}");
                assert!(is_sync_of_folder(next, &step.to), "{step:?}, then {next:?}");
            }
            'm' | 'u' => assert!(is_sync_of_folder(next, &step.path), "{step:?}, then {next:?}"),
            _ => {}
        }
    }
}

#[test]
fn each_file_is_safe_before_the_next_step() {
    let shim = Shim::build();
    let place = Place::new();
    let root = place.at("").canonicalize().unwrap();
    let out = root.join("a/out");
    let steps = shim.journal(shim.job(&out, &root));
    assert_each_step_is_safe(&steps);
    let named = |step: &Step| Some(step.to.strip_prefix(&out).unwrap().to_str().unwrap().to_string());
    let names: Vec<String> = steps.iter().filter(|step| step.kind == 'r').filter_map(named).collect();
    let shard = |shard: u64| [format!("data/shard-{shard:05}.parquet"), format!("commits/{shard:05}.json")];
    let first = ["job.json".to_string()].into_iter().chain((0..4).flat_map(shard));
    let last = ["failures.parquet", "README.md", "manifest.json"].map(String::from);
    assert_eq!(names, first.chain(last).collect::<Vec<_>>());
    let made: Vec<&Path> = steps.iter().filter(|step| step.kind == 'm').map(|step| step.path.as_path()).collect();
    assert_eq!(made, [root.join("a"), out.clone(), out.join("data"), out.join("commits")]);
}

#[test]
fn folders_that_a_killed_process_made_are_safe_before_anything_is_in_them() {
    let shim = Shim::build();
    let place = Place::new();
    let root = place.at("").canonicalize().unwrap();
    let out = root.join("out");
    half_done(&out);
    let steps = shim.journal(shim.job(&out, &root));
    assert_each_step_is_safe(&steps);
    let first_name = steps.iter().position(|step| step.kind == 'r').unwrap();
    for folder in [&root, &out] {
        let synced = steps[..first_name].iter().any(|step| step.kind == 'd' && step.path == *folder);
        assert!(synced, "{}", folder.display());
    }
    let removed: Vec<&Path> = steps.iter().filter(|step| step.kind == 'u').map(|step| step.path.as_path()).collect();
    let leftovers = ["data/.shard-00002.parquet.1f-2.tmp", "data/shard-00003.parquet", ".lock"];
    assert_eq!(removed, leftovers.map(|name| out.join(name)));
}

#[test]
fn an_appended_log_is_safe_once_it_is_synced() {
    let shim = Shim::build();
    let place = Place::new();
    let root = place.at("").canonicalize().unwrap();
    let out = root.join("out");
    let steps = shim.journal(shim.child("child_that_appends", &out, &root));
    let log = out.join("log");
    let written = steps.iter().position(|step| step.kind == 'w' && step.path == log).unwrap();
    let synced = &steps[written + 1..];
    assert!(synced[0].kind == 's' && synced[0].path == log, "{synced:?}");
    assert!(is_sync_of_folder(synced.get(1), &log), "{synced:?}");
}

#[test]
fn a_folder_may_be_named_without_the_folder_above_it() {
    let shim = Shim::build();
    let place = Place::new();
    let here = place.at("").canonicalize().unwrap();
    let ended = shim.job(Path::new("out"), &here).current_dir(&here).output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_good(&here.join("out"), 1);
}
