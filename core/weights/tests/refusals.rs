//! Files and folders that hold no weights, each with its own sentence, and without much memory.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyflow_weights::Listing;

/// The most that a bad file may make this process hold.
const MOST_BYTES: u64 = 64 << 20;
/// The same for a pickle, of which the reader bounds the copies that its text asks for by as much.
const MOST_PICKLE_BYTES: u64 = 128 << 20;

/// A safetensors file: a header, and data bytes without disk.
fn sparse(path: &Path, header: &str, data_bytes: u64) {
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + data_bytes).unwrap();
}

fn tensor(name: &str, dtype: &str, from: usize, to: usize, shape: usize) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{from},{to}]}}"#)
}

fn good(path: &Path, names: &[&str]) {
    let tensors: Vec<String> =
        names.iter().enumerate().map(|(at, name)| tensor(name, "F16", 4 * at, 4 * at + 4, 2)).collect();
    sparse(path, &format!("{{{}}}", tensors.join(",")), 4 * names.len() as u64);
}

fn index(folder: &Path, map: &str) {
    std::fs::write(folder.join("model.safetensors.index.json"), format!("{{\"weight_map\": {map}}}")).unwrap();
}

/// What the only file of a folder holds.
type Case = (&'static str, fn(&Path));

fn file(name: &str, bytes: &[u8]) -> impl Fn(&Path) {
    move |folder| std::fs::write(folder.join(name), bytes).unwrap()
}

const W: &str = "model.safetensors";

/// Lists of lists that would grow tenfold with each level if references were copied.
fn bomb() -> Vec<u8> {
    let mut pickle = b"\x80\x02]q\x00".to_vec();
    for level in 0..30u8 {
        pickle.extend(b"](");
        (0..10).for_each(|_| pickle.extend([b'h', level]));
        pickle.extend([b'e', b'q', level + 1]);
    }
    pickle.push(b'.');
    pickle
}

const CASES: [Case; 25] = [
    ("pointer", |f| file(W, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")(f)),
    ("page", |f| file("pytorch_model.bin", b"<!DOCTYPE html><html>404")(f)),
    ("empty", |f| file(W, b"")(f)),
    ("truncated", |f| sparse(&f.join(W), &format!("{{{}}}", tensor("a", "F32", 0, 4_000_000_000, 1_000_000_000)), 8)),
    ("appended", |f| sparse(&f.join(W), &format!("{{{}}}", tensor("a", "F32", 0, 8, 2)), 9)),
    ("header beyond file", |f| file(W, &[&4096u64.to_le_bytes()[..], b"{}"].concat())(f)),
    ("header too long", |f| {
        file(W, &(1u64 << 30).to_le_bytes())(f);
        File::options().write(true).open(f.join(W)).unwrap().set_len(2 << 30).unwrap();
    }),
    ("no JSON", |f| file(W, &[&8u64.to_le_bytes()[..], b"{'a': 1}"].concat())(f)),
    ("overlap", |f| {
        sparse(&f.join(W), &format!("{{{},{}}}", tensor("a", "F32", 0, 8, 2), tensor("b", "F32", 4, 12, 2)), 12);
    }),
    ("gap", |f| {
        sparse(&f.join(W), &format!("{{{},{}}}", tensor("a", "F32", 0, 8, 2), tensor("b", "F32", 12, 20, 2)), 20);
    }),
    ("fp8", |f| sparse(&f.join(W), &format!("{{{}}}", tensor("a", "F8_E4M3", 0, 8, 8)), 8)),
    ("nf4", |f| sparse(&f.join(W), &format!("{{{}}}", tensor("a.weight", "U8", 0, 8, 8)), 8)),
    ("part file missing", |f| {
        good(&f.join("one.safetensors"), &["a"]);
        index(f, r#"{"a": "one.safetensors", "b": "two.safetensors"}"#);
    }),
    ("tensor of the index missing", |f| {
        good(&f.join("one.safetensors"), &["a"]);
        index(f, r#"{"a": "one.safetensors", "b": "one.safetensors"}"#);
    }),
    ("tensor in two files", |f| {
        good(&f.join("one.safetensors"), &["a"]);
        good(&f.join("two.safetensors"), &["a", "b"]);
        index(f, r#"{"a": "one.safetensors", "b": "two.safetensors"}"#);
    }),
    ("index out of the folder", |f| index(f, r#"{"a": "../one.safetensors"}"#)),
    ("index without files", |f| index(f, "{}")),
    ("index without a map", |f| file("model.safetensors.index.json", b"{}")(f)),
    ("Flax", |f| file("flax_model.msgpack", b"\x81\xa1a")(f)),
    ("Flax under another name", |f| file("pytorch_model.bin", b"\x82\xa7decoder\x83\xa7conv_in\x82")(f)),
    ("variants only", |f| good(&f.join("model.fp16.safetensors"), &["a"])),
    ("parts without an index", |f| good(&f.join("model-00001-of-00002.safetensors"), &["a"])),
    ("another format", |f| file("model.onnx", b"\x08\x07")(f)),
    ("nothing", |_| {}),
    ("pickle with code", |f| file("pytorch_model.bin", b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.")(f)),
];

/// The most memory that this process ever held.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    1024 * line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
}

/// The name of a case, and the error that its folder is refused with.
fn refused((name, make): &Case) -> String {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let error = Listing::of(folder.path(), None).expect_err(name);
    let text = error.to_string().replace(folder.path().to_str().unwrap(), "FOLDER");
    format!("{name}\n  {}: {text}\n", error.error.code())
}

#[test]
fn each_has_its_own_sentence() {
    let before = peak_bytes();
    let mut catalogue: String = CASES.iter().map(refused).collect();
    let grown = peak_bytes() - before;
    assert!(grown < MOST_BYTES, "{grown} bytes");
    catalogue += &refused(&("pickle that grows", |f| file("pytorch_model.bin", &bomb())(f)));
    let grown = peak_bytes() - before;
    assert!(grown < MOST_PICKLE_BYTES, "{grown} bytes");
    insta::assert_snapshot!("refusals", catalogue);
    let folder = tempfile::tempdir().unwrap();
    good(&folder.path().join(W), &["a"]);
    let error = Listing::of(folder.path(), Some("bf16")).unwrap_err().error;
    assert_eq!(
        (error.code(), error.to_string().contains("no variant `bf16`")),
        ("weights.no-variant", true),
        "{error}"
    );
}

#[test]
fn split_files_links_and_preferred_files_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    good(&elsewhere.path().join("blob"), &["b"]);
    std::os::unix::fs::symlink(elsewhere.path().join("blob"), folder.path().join("two.safetensors")).unwrap();
    good(&folder.path().join("one.safetensors"), &["a"]);
    index(folder.path(), r#"{"b": "two.safetensors", "a": "one.safetensors"}"#);
    // A preferred file would win; one of a lower rank does not.
    std::fs::write(folder.path().join("pytorch_model.bin"), b"never read").unwrap();
    let listing = Listing::of(folder.path(), None).unwrap();
    let names: Vec<&str> = listing.tensors.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!((names, listing.files.len(), listing.size_bytes()), (vec!["a", "b"], 2, 8));
    let by_index = Listing::of(&folder.path().join("model.safetensors.index.json"), None).unwrap();
    assert_eq!(by_index, listing);
}
