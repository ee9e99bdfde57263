//! A folder has one writer at a time.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::numbered_batch;
use anyflow_datasets::{DatasetError, Folder, NewFile, TableWriter};
use std::io::{BufRead, BufReader, Write};

const HELD_VARIABLE: &str = "ANYFLOW_TEST_HELD";

/// Not a test: the process that holds a folder or a file until it is killed.
#[test]
fn child_that_holds() {
    let Some(path) = std::env::var_os(HELD_VARIABLE).map(PathBuf::from) else { return };
    let held = if path.extension().is_some() {
        NewFile::beside(&path).map(|file| (None, Some(file)))
    } else {
        Folder::open(&path).map(|folder| (Some(folder), None))
    };
    eprintln!("\nheld {}", held.is_ok());
    std::thread::sleep(std::time::Duration::from_secs(60));
    drop(held);
}

fn hold(path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["fencing::child_that_holds", "--exact", "--nocapture"])
        .env(HELD_VARIABLE, path)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.map(|line| line.unwrap()).any(|line| line == "held true"));
    child
}

#[test]
fn a_busy_folder_or_file_says_who_writes_to_it() {
    let place = tempfile::tempdir().unwrap();
    for name in ["folder", "file.parquet"] {
        let path = place.path().join(name);
        let mut child = hold(&path);
        let open = || match name {
            "folder" => Folder::open(&path).map(drop),
            _ => NewFile::beside(&path).map(drop),
        };
        let error = open().unwrap_err();
        assert!(matches!(error, DatasetError::Busy { .. }), "{error}");
        let text = error.to_string();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        assert!(text.contains(&format!("process {} on host {host}, since 20", child.id())), "{text}");
        assert_eq!(error.fault().exit_code(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
        open().unwrap();
    }
    // The temporary file of the killed writer is removed too.
    assert_eq!(names(place.path()), ["folder"]);
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_removed_or_replaced_folder_accepts_no_further_files() {
    let replacements: [fn(&Path); 4] = [
        |folder| std::fs::remove_dir_all(folder).unwrap(),
        |folder| {
            std::fs::remove_dir_all(folder).unwrap();
            std::mem::forget(Folder::open(folder).unwrap());
        },
        |folder| std::fs::rename(folder, folder.with_extension("moved")).unwrap(),
        |folder| std::fs::remove_file(folder.join(".lock")).unwrap(),
    ];
    for replace in replacements {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("out");
        let folder = Folder::open(&path).unwrap();
        let mut file = folder.create("x").unwrap();
        file.write_all(b"late").unwrap();
        replace(&path);
        let lost = |result: Result<(), DatasetError>| assert!(matches!(result, Err(DatasetError::Lost { .. })));
        lost(file.publish());
        lost(folder.write("y", b"later"));
        lost(folder.remove("y"));
        lost(folder.append("z").map(drop));
        lost(folder.make_folder("w"));
        for place in [path.clone(), path.with_extension("moved")] {
            assert!(["x", "y", "z", "w"].iter().all(|name| !place.join(name).exists()));
        }
    }
}

/// A child that outlives us would hold the lock.
#[test]
fn a_child_process_inherits_no_file_of_a_folder() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().canonicalize().unwrap();
    let folder = Folder::open(&root.join("out")).unwrap();
    folder.make_folder("sub").unwrap();
    let _files = [folder.create("a").unwrap(), folder.create("sub/b").unwrap()];
    let _log = folder.append("log").unwrap();
    let listed = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("/proc/") && !listed.contains(root.to_str().unwrap()), "{listed}");
}

#[test]
fn two_writers_never_share_a_file_under_way() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(place.path()).unwrap();
    let [mut first, mut second] = [folder.create("x").unwrap(), folder.create("x").unwrap()];
    first.write_all(b"the first").unwrap();
    second.write_all(b"2nd").unwrap();
    first.publish().unwrap();
    assert_eq!(folder.read("x").unwrap().unwrap(), b"the first");
    second.publish().unwrap();
    assert_eq!(folder.read("x").unwrap().unwrap(), b"2nd");
}

#[test]
fn the_second_of_two_tables_of_one_name_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("t.parquet");
    let (batch, features) = numbered_batch(0, 3);
    let mut first = TableWriter::create(&path, &batch.schema(), &features).unwrap();
    let second = TableWriter::create(&path, &batch.schema(), &features);
    assert!(matches!(second.err().unwrap(), DatasetError::Busy { .. }));
    first.write(&batch).unwrap();
    first.finish().unwrap();
    assert_eq!(names(place.path()), ["t.parquet"]);
}

#[cfg(unix)]
#[test]
fn links_and_pipes_in_place_of_our_files_are_refused() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let victim = place.path().join("victim");
    std::fs::write(&victim, b"precious").unwrap();
    let out = place.path().join("out");
    std::fs::create_dir(&out).unwrap();
    symlink(&victim, out.join(".lock")).unwrap();
    assert!(matches!(Folder::open(&out), Err(DatasetError::Linked { .. })));
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    std::fs::remove_file(out.join(".lock")).unwrap();

    let folder = Folder::open(&out).unwrap();
    symlink(&victim, out.join("job.json")).unwrap();
    symlink(place.path(), out.join("data")).unwrap();
    assert!(matches!(folder.read("job.json"), Err(DatasetError::Linked { .. })));
    assert!(matches!(folder.append("job.json"), Err(DatasetError::Linked { .. })));
    assert!(matches!(folder.make_folder("data"), Err(DatasetError::Linked { .. })));
    assert!(matches!(folder.create("data/x"), Err(DatasetError::Linked { .. })));
    assert!(matches!(folder.remove("data/victim"), Err(DatasetError::Linked { .. })));
    assert!(matches!(folder.sweep("data"), Err(DatasetError::Linked { .. })));
    // A new file replaces a link instead of following it.
    folder.write("job.json", b"new").unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    assert_eq!(folder.read("job.json").unwrap().unwrap(), b"new");

    let made = Command::new("mkfifo").arg(out.join("pipe")).status().unwrap();
    assert!(made.success());
    assert!(matches!(folder.read("pipe"), Err(DatasetError::Io { .. })));
}

#[test]
fn the_whole_folder_may_be_a_link_and_names_stay_inside() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir(place.path().join("disk")).unwrap();
    std::os::unix::fs::symlink(place.path().join("disk"), place.path().join("out")).unwrap();
    let folder = Folder::open(&place.path().join("out")).unwrap();
    folder.make_folder("stages").unwrap();
    folder.write("stages/00-a.state", b"s").unwrap();
    assert_eq!(std::fs::read(place.path().join("disk/stages/00-a.state")).unwrap(), b"s");
    assert_eq!(folder.read("stages/none").unwrap(), None);
    assert_eq!(folder.read("nowhere/none").unwrap(), None);
    for name in ["../x", "/x", "a/../x", "a/b/c", "", ".", "stages/", ".lock"] {
        assert!(matches!(folder.write(name, b"x"), Err(DatasetError::Internal { .. })), "{name}");
    }
}
