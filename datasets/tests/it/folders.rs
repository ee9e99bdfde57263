//! What a folder and its files do, name by name.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::jobs::Place;
use anyflow_datasets::{DatasetError, Folder, NewFile};
use serde_json::Value;

fn open(place: &Place) -> Folder {
    Folder::open(&place.at("out")).unwrap()
}

fn is_io<T>(result: Result<T, DatasetError>) -> bool {
    matches!(result, Err(DatasetError::Io { .. }))
}

#[test]
fn files_of_a_folder_are_written_read_measured_and_removed() {
    let place = Place::new();
    let folder = open(&place);
    assert_eq!(folder.path(), place.at("out"));
    assert_eq!((folder.has("a").unwrap(), folder.length("a").unwrap()), (false, None));
    folder.write("a", b"twelve bytes").unwrap();
    assert_eq!((folder.has("a").unwrap(), folder.length("a").unwrap()), (true, Some(12)));
    folder.append("a").unwrap().write_all(b" and more").unwrap();
    assert_eq!(folder.read("a").unwrap().unwrap(), b"twelve bytes and more");
    folder.append("new").unwrap().write_all(b"log").unwrap();
    folder.sync("new").unwrap();
    folder.make_folder("sub").unwrap();
    folder.write("sub/b", b"b").unwrap();
    assert_eq!(folder.files("").unwrap(), [".lock", "a", "new"]);
    assert_eq!(folder.files("sub").unwrap(), ["b"]);
    folder.remove("a").unwrap();
    folder.remove("sub/b").unwrap();
    folder.remove("a").unwrap();
    assert!(!place.at("out/a").exists() && !place.at("out/sub/b").exists());
}

#[test]
fn a_name_in_a_missing_sub_folder_is_absent_and_cannot_be_written() {
    let place = Place::new();
    let folder = open(&place);
    assert!(folder.read("none/a").unwrap().is_none() && folder.length("none/a").unwrap().is_none());
    assert!(!folder.has("none/a").unwrap() && folder.files("none").unwrap().is_empty());
    folder.sweep("none").unwrap();
    folder.remove("none/a").unwrap();
    folder.sync("none/a").unwrap();
    folder.sync("none").unwrap();
    let missing = |result: Result<(), DatasetError>| matches!(result, Err(DatasetError::Missing { .. }));
    assert!(missing(folder.write("none/a", b"a")));
    assert!(missing(folder.append("none/a").map(drop)));
    assert!(missing(folder.make_folder("none/a")));
}

#[test]
fn a_folder_in_place_of_a_file_and_a_file_in_place_of_a_folder_are_errors() {
    let place = Place::new();
    let folder = open(&place);
    std::fs::create_dir(place.at("out/folder")).unwrap();
    std::fs::create_dir(place.at("out/folder/inner")).unwrap();
    std::fs::write(place.at("out/file"), b"file").unwrap();
    assert!(is_io(folder.read("folder")) && is_io(folder.append("folder")) && is_io(folder.length("folder")));
    assert!(is_io(folder.remove("folder")) && is_io(folder.write("folder", b"x")));
    assert!(is_io(folder.make_folder("file")) && is_io(folder.files("file")) && is_io(folder.has("file/x")));
    assert!(is_io(folder.read("file/x")) && is_io(folder.write("file/x", b"x")));
    folder.make_folder("folder").unwrap();
    assert!(place.at("out/folder/inner").is_dir());
    assert!(is_io(Folder::open(&place.at("out/file"))));
    assert!(is_io(Folder::open(&place.at("out/file/below"))));
    assert_eq!(folder.files("").unwrap(), [".lock", "file"], "nothing is left of what failed");
}

#[test]
fn folders_above_are_created_unless_they_exist() {
    let place = Place::new();
    // Once `new` exists, `new/..` does too.
    Folder::open(&place.at("new/../other/out")).unwrap();
    assert!(place.at("new").is_dir() && place.at("other/out").is_dir());
    std::fs::write(place.at("file"), b"").unwrap();
    match Folder::open(&place.at("file")) {
        Err(DatasetError::Io { path, action, .. }) => assert_eq!((path, action), (place.at("file"), "create")),
        other => panic!("{other:?}"),
    }
    match NewFile::beside(&place.at("file/below")) {
        Err(DatasetError::Io { path, action, .. }) => assert_eq!((path, action), (place.at("file"), "open")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_regular_files_with_names_of_text_are_listed() {
    let place = Place::new();
    let folder = open(&place);
    std::fs::create_dir(place.at("out/folder")).unwrap();
    symlink(place.at("out/.lock"), place.at("out/link")).unwrap();
    std::fs::write(place.at("out").join(OsStr::from_bytes(b"\xff.tmp")), b"x").unwrap();
    assert_eq!(folder.files("").unwrap(), [".lock"]);
    assert!(folder.has("link").unwrap());
}

#[test]
fn a_sweep_takes_temporary_files_of_one_folder_only() {
    let place = Place::new();
    let folder = open(&place);
    folder.make_folder("sub").unwrap();
    for name in ["out/.a.1-2.tmp", "out/sub/.a.1-2.tmp", "out/sub/.a.1-2.part", "out/sub/a"] {
        std::fs::write(place.at(name), b"x").unwrap();
    }
    folder.sweep("sub").unwrap();
    assert_eq!(folder.files("sub").unwrap(), [".a.1-2.part", "a"]);
    assert!(place.at("out/.a.1-2.tmp").exists());
    folder.sweep("").unwrap();
    assert!(!place.at("out/.a.1-2.tmp").exists());
}

#[test]
fn a_file_in_place_of_a_sub_folder_is_an_error() {
    let place = Place::new();
    let folder = open(&place);
    std::fs::write(place.at("out/data"), b"a file").unwrap();
    assert!(is_io(folder.make_folder("data")));
    assert_eq!(std::fs::read(place.at("out/data")).unwrap(), b"a file");
}

#[test]
fn a_temporary_name_that_is_taken_is_not_used() {
    let place = Place::new();
    let folder = open(&place);
    let taken: Vec<String> = (0..4096).map(|count| format!(".a.{:x}-{count:x}.tmp", std::process::id())).collect();
    taken.iter().for_each(|name| std::fs::write(place.at("out").join(name), b"taken").unwrap());
    folder.write("a", b"new").unwrap();
    assert_eq!(folder.read("a").unwrap().unwrap(), b"new");
    assert!(taken.iter().all(|name| std::fs::read(place.at("out").join(name)).unwrap() == b"taken"));
}

#[test]
fn a_folder_whose_path_leads_elsewhere_is_lost_or_an_error() {
    let replaced = |replace: fn(&Path)| {
        let place = Place::new();
        let folder = open(&place);
        folder.check().unwrap();
        std::fs::rename(place.at("out"), place.at("moved")).unwrap();
        replace(&place.at("out"));
        folder.check()
    };
    assert!(matches!(replaced(|path| std::fs::write(path, b"file").unwrap()), Err(DatasetError::Lost { .. })));
    assert!(matches!(replaced(|path| std::fs::create_dir(path).unwrap()), Err(DatasetError::Lost { .. })));
    // The system cannot say what is there.
    assert!(is_io(replaced(|path| symlink(path, path).unwrap())));
}

#[test]
fn a_lock_file_names_this_process_whatever_it_held_before() {
    let place = Place::new();
    std::fs::create_dir(place.at("out")).unwrap();
    std::fs::write(place.at("out/.lock"), "left by an older process ".repeat(100)).unwrap();
    let folder = open(&place);
    let holder: Value = serde_json::from_slice(&std::fs::read(place.at("out/.lock")).unwrap()).unwrap();
    assert_eq!(holder["pid"], std::process::id());
    // Both are times of this machine: its start in seconds, and ticks since then.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let start = stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap().to_string();
    assert_eq!(holder["process_start"].to_string(), start);
    drop(folder);
    assert!(!place.at("out/.lock").exists());
}

#[test]
fn a_lock_file_that_nobody_can_read_still_locks() {
    let place = Place::new();
    let _folder = open(&place);
    std::fs::write(place.at("out/.lock"), b"not a holder").unwrap();
    match Folder::open(&place.at("out")) {
        Err(DatasetError::Busy { holder, .. }) => assert!(!holder.contains("host"), "{holder}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_lock_of_another_process_stays() {
    let place = Place::new();
    let folder = open(&place);
    std::fs::remove_file(place.at("out/.lock")).unwrap();
    std::fs::write(place.at("out/.lock"), b"theirs").unwrap();
    drop(folder);
    assert_eq!(std::fs::read(place.at("out/.lock")).unwrap(), b"theirs");
}

#[test]
fn a_single_file_replaces_a_file_and_nothing_else() {
    let place = Place::new();
    std::fs::create_dir(place.at("folder")).unwrap();
    assert!(is_io(NewFile::beside(&place.at("folder"))) && is_io(NewFile::beside(Path::new("/"))));
    assert!(matches!(NewFile::beside(&place.at("none/file")), Err(DatasetError::Missing { .. })));
    std::fs::write(place.at("file"), b"old").unwrap();
    for name in [".file.1-2.part", ".file.1-2.tmp", ".other.1-2.part", "file.1-2.part"] {
        std::fs::write(place.at(name), b"x").unwrap();
    }
    let mut file = NewFile::beside(&place.at("file")).unwrap();
    assert_eq!(file.path(), place.at("file"));
    file.write_all(b"new").unwrap();
    file.flush().unwrap();
    assert_eq!(std::fs::read(place.at("file")).unwrap(), b"old");
    file.publish().unwrap();
    assert_eq!(std::fs::read(place.at("file")).unwrap(), b"new");
    let mut names: Vec<_> = std::fs::read_dir(place.at("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".file.1-2.tmp", ".other.1-2.part", "file", "file.1-2.part", "folder"]);
}

#[test]
fn a_single_file_that_is_dropped_leaves_what_was_there() {
    let place = Place::new();
    std::fs::write(place.at("file"), b"old").unwrap();
    let mut file = NewFile::beside(&place.at("file")).unwrap();
    file.write_all(b"half").unwrap();
    drop(file);
    assert_eq!(std::fs::read(place.at("file")).unwrap(), b"old");
    assert_eq!(std::fs::read_dir(place.at("")).unwrap().count(), 1);
}
