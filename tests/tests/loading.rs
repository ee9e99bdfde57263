//! Loading of plugins: the loaded bytes are the checked ones, folders of others are not searched, and special files
//! never block.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyflow_datasets::Cell;
use anyflow_plan::plan::{Form, Type};
use anyflow_runtime::plugin::{Codec, LoadedPlugins};
use anyflow_tests::{Output, anyflow, compile, compile_with, native_component, target};
use serde_json::json;

const FAULTS: &str = "tests/native/faults.c";
const GUESTS: &str = "tests/native/guests.c";

/// A library that creates a file when it is loaded.
fn marker(folder: &Path, name: &str, options: &[&str]) -> (PathBuf, PathBuf) {
    let library = folder.join(name);
    let mark = folder.join("ran");
    let source = folder.join("marker.c");
    let code = "#include <stdio.h>\n\
                int marker(void) { return 1; }\n\
                __attribute__((constructor)) static void ran(void) { FILE *f = fopen(MARK, \"w\"); if (f) fclose(f); }\n";
    std::fs::write(&source, code).unwrap();
    let mark_option = format!("-DMARK=\"{}\"", mark.display());
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", &mark_option]).args(options).arg(&source).arg("-o").arg(&library);
    assert!(compiler.status().unwrap().success());
    (library, mark)
}

#[test]
fn no_library_of_the_current_folder_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mark) = marker(folder.path(), "libtorch_cuda.so", &[]);
    for path in ["", ":", ".", ":/nowhere", "./:..", "/nowhere;."] {
        let output = Command::new(target().join("anyflow"))
            .args(["doctor", "--json"])
            .current_dir(&folder)
            .env("LD_LIBRARY_PATH", path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("\"engine\"") && !mark.exists(), "{path:?}: {said}");
    }
}

/// The codec's array for the number 1.
fn scale(library: &Path) -> f64 {
    let form = Form::Array { dtype: "f32".into(), axes: Vec::new(), shape: vec![1], range: None };
    let component = native_component(library, "faults/number", json!({}));
    let array = Type { modality: "number".into(), form };
    let codec = Codec::new(&mut LoadedPlugins::default(), &component, &array).unwrap();
    codec.encode(&[Some(Cell::F64(1.0))], 1).unwrap().0.double_value(&[0, 0])
}

#[test]
fn the_loaded_bytes_are_those_that_were_hashed() {
    let folders = ["one", "ten"].map(|_| tempfile::tempdir().unwrap());
    let one = std::fs::read(compile(FAULTS, &["SCALE=1.0"], folders[0].path())).unwrap();
    let ten = std::fs::read(compile(FAULTS, &["SCALE=10.0"], folders[1].path())).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut ones = 0;
    let mut tens = 0;
    for round in 0..20u32 {
        // Trailing bytes are not loaded, but change the hash; many of them slow down reading.
        let of = |library: &[u8]| [library, &vec![0; 2 << 20], &round.to_le_bytes()].concat();
        let one = of(&one);
        let ten = of(&ten);
        let path = folder.path().join(format!("lib{round}.so"));
        std::fs::write(&path, &one).unwrap();
        let stop = AtomicBool::new(false);
        let hash = std::thread::scope(|scope| {
            scope.spawn(|| {
                let other = path.with_extension("new");
                for bytes in [&ten, &one].into_iter().cycle() {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    std::fs::write(&other, bytes).unwrap();
                    std::fs::rename(&other, &path).unwrap();
                }
            });
            let loaded = LoadedPlugins::default().load(path.to_str().unwrap()).map(|plugin| plugin.blake3.clone());
            stop.store(true, Ordering::Relaxed);
            loaded.unwrap()
        });
        let found = scale(&path);
        let wanted = if hash == blake3(&one) { 1.0 } else { 10.0 };
        assert!(wanted == 1.0 || hash == blake3(&ten), "round {round}: {hash} is the hash of neither");
        assert_eq!(found, wanted, "round {round}");
        if wanted == 1.0 { ones += 1 } else { tens += 1 }
    }
    eprintln!("{ones} and {tens}");
}

fn blake3(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[test]
fn plugins_are_known_by_name_and_hash_and_equal_bytes_are_one_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let library = compile(FAULTS, &[], folder.path());
    let copy = folder.path().join("copy.so");
    std::fs::copy(&library, &copy).unwrap();
    let mut plugins = LoadedPlugins::default();
    let (one, other) =
        (plugins.load(library.to_str().unwrap()).unwrap(), plugins.load(copy.to_str().unwrap()).unwrap());
    assert!(std::sync::Arc::ptr_eq(&one, &other));
    let hashes = plugins.hashes();
    assert_eq!(hashes.into_iter().collect::<Vec<_>>(), [("faults".to_string(), one.blake3.clone())]);
}

/// A plugin that links to `libneeded.so` next to it.
fn dependent(folder: &Path, run_path: &str, options: &[&str]) -> (PathBuf, PathBuf, PathBuf) {
    let (needed, mark) = marker(folder, "libneeded.so", options);
    let search = format!("-L{}", folder.display());
    let run_path = format!("-Wl,-rpath,{run_path}");
    let options = ["-Wl,--no-as-needed", &search, "-l:libneeded.so", &run_path];
    (compile_with(GUESTS, &[], &options, folder), needed, mark)
}

#[test]
fn a_library_next_to_a_plugin_is_loaded_only_if_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let (plugin, needed, mark) = dependent(folder.path(), "$ORIGIN", &["-Wl,-soname,libneeded.so"]);
    let list = folder.path().join("allowed");
    let hash = |library: &Path| blake3(&std::fs::read(library).unwrap());
    let check = |lines: &[String]| -> Output {
        std::fs::write(&list, lines.join("\n")).unwrap();
        anyflow(["plugin", "check", plugin.to_str().unwrap(), "--json", "--plugins-allow", list.to_str().unwrap()])
    };
    let output = check(&[hash(&plugin)]);
    assert_eq!(output.code, 3, "{}{}", output.out, output.err);
    assert!(output.out.contains("libneeded.so") && output.out.contains("not on the list"), "{}", output.out);
    assert!(!mark.exists(), "no code ran");
    let output = check(&[hash(&plugin), hash(&needed)]);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert!(mark.exists(), "the test can detect it");
    let mut plugins = LoadedPlugins::default();
    plugins.load(plugin.to_str().unwrap()).unwrap();
    let hashes = plugins.hashes();
    assert_eq!((&hashes["guests"], &hashes["guests/libneeded.so"]), (&hash(&plugin), &hash(&needed)));
}

#[test]
fn a_plugins_dependencies_are_not_searched_in_the_current_folder() {
    let cases = [
        (".", &["-Wl,-soname,libneeded.so"], "current folder"),
        ("$ORIGIN:", &["-Wl,-soname,libneeded.so"], "current folder"),
        ("$ORIGIN", &["-Wl,-soname,./libneeded.so"], "by a path"),
        ("$ORIGIN", &["-Wl,-soname,libcalled-otherwise.so"], "cannot open shared object"),
    ];
    for (run_path, options, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (plugin, _, mark) = dependent(folder.path(), run_path, options);
        let text = LoadedPlugins::default().load(plugin.to_str().unwrap()).err().unwrap().to_string();
        assert!(text.contains(words) && text.contains("guests 0.1.0"), "{run_path}: {text}");
        assert!(!mark.exists(), "{run_path}");
    }
}

#[test]
fn a_plugin_that_this_system_cannot_load_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, needed, _) = dependent(folder.path(), "$ORIGIN", &["-Wl,-soname,libneeded.so"]);
    std::fs::remove_file(needed).unwrap();
    let foreign = folder.path().join("foreign.so");
    let mut bytes = std::fs::read(&missing).unwrap();
    // The machine in the head of an ELF file; these are AArch64 and RISC-V.
    let (machine, name) = if cfg!(target_arch = "aarch64") { (0xF3, "riscv64") } else { (0xB7, "aarch64") };
    bytes[18..20].copy_from_slice(&u16::to_le_bytes(machine));
    std::fs::write(&foreign, bytes).unwrap();
    for (plugin, words) in [
        (&missing, "libneeded.so".to_string()),
        (&foreign, format!("is made for {name}; get it for {}", std::env::consts::ARCH)),
    ] {
        let output = anyflow(["plugin", "check", plugin.to_str().unwrap()]);
        assert!(output.code == 3 && format!("{}{}", output.out, output.err).contains(&words), "{output:?}");
        let doctor =
            Command::new(target().join("anyflow")).arg("doctor").env("ANYFLOW_PLUGINS", plugin).output().unwrap();
        let said = String::from_utf8_lossy(&doctor.stdout);
        assert!(doctor.status.code() == Some(1) && said.contains(&words), "{said}");
        assert!(said.contains("✗  plugins") && said.contains("fix the items marked"), "{said}");
    }
    for (bytes, words) in [
        (&b"version https://git-lfs.github.com/spec/v1\n"[..], "Git LFS pointer"),
        (b"", "the file is empty"),
        (b"MZ\x90\0", "Windows library"),
        (b"\x7fELF\x02\x01", "cut or damaged"),
    ] {
        let file = folder.path().join("other.so");
        std::fs::write(&file, bytes).unwrap();
        let output = anyflow(["plugin", "check", file.to_str().unwrap()]);
        assert!(output.code == 3 && format!("{}{}", output.out, output.err).contains(words), "{words}: {output:?}");
    }
}

/// Runs the front with an open standard input that nobody writes to, for at most 30 s.
fn unattended(arguments: &[&str]) -> (Option<i32>, String) {
    let mut child = Command::new(target().join("anyflow"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let code = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None if begin.elapsed() > Duration::from_secs(30) => {
                child.kill().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    (code, said)
}

#[test]
fn pipes_and_devices_named_as_files_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = folder.path().join("p.yaml");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for model in ["/dev/stdin", "/dev/zero", pipe.to_str().unwrap()] {
        std::fs::write(&yaml, format!("anyflow: 1\nname: p\nmodel: {model}\nnodes: {{}}\noutputs: {{}}\n")).unwrap();
        for file in [yaml.to_str().unwrap(), model] {
            let (code, said) = unattended(&["check", file]);
            assert_eq!(code, Some(2), "{model} as {file}: {said}");
            assert!(said.contains("not a regular file"), "{said}");
        }
    }
    let output = anyflow(["plugin", "check", "/dev/zero"]);
    assert_eq!(output.code, 3, "{}{}", output.out, output.err);
}

#[test]
fn at_most_a_hundred_errors_of_a_file_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = folder.path().join("many.yaml");
    let keys: String = (0..30_000).map(|key| format!("  key{key}: 1\n")).collect();
    std::fs::write(&yaml, format!("anyflow: 1\nname: m\nstreams: {{}}\ndenoisers: {{}}\n{}", keys.replace("  ", "")))
        .unwrap();
    let (code, said) = unattended(&["check", yaml.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{}", &said[..said.len().min(2000)]);
    assert!(
        said.contains("and 29900 more") && said.contains("30000 errors"),
        "{}",
        &said[said.len().saturating_sub(2000)..]
    );
    assert!(said.len() < 200_000, "{} bytes", said.len());
}
