//! The test kit through `anyflow plugin check`: every shipped plugin passes it as a loaded library, and a faulty one
//! fails the right check, even if it kills the engine.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use anyflow_tests::{
    anyflow, compile, compile_with, descriptor, digit_png, library, shipped_plugins, tone_wav, write_digits,
};
use serde_json::Value;

/// Exit code, and the checks.
fn check(plugin: &str, more: &[&str]) -> (i32, Value) {
    let library = library(plugin).display().to_string();
    let output = anyflow(["plugin", "check", &library, "--json"].iter().chain(more));
    (output.code, output.json())
}

fn of(result: &Value, outcome: &str) -> Vec<String> {
    let checks = result["checks"].as_array().unwrap().iter().filter(|check| check["outcome"] == outcome);
    let line = |check: &Value| {
        let word = |key: &str| check[key].as_str().unwrap().to_string();
        format!("{} {}: {}", word("component"), word("check"), word("text"))
    };
    checks.map(line).collect()
}

#[test]
fn every_shipped_plugin_passes_the_test_kit() {
    for plugin in shipped_plugins() {
        let described = descriptor(&plugin);
        let components = described.codecs.len() + described.modules.len();
        let (code, result) = check(&plugin, &[]);
        assert_eq!((code, of(&result, "failed")), (0, vec![]), "{plugin}");
        assert_eq!(result["plugin"]["descriptor"]["plugin"], plugin.as_str());
        // A check is skipped only if there is nothing to test.
        let skipped = of(&result, "skipped");
        assert!(skipped.iter().all(|line| line.contains("odd-sizes")), "{plugin}: {skipped:?}");
        assert!(of(&result, "passed").len() >= 3 + 13 * components, "{plugin}: {:?}", of(&result, "passed"));
    }
}

#[test]
fn samples_come_from_files_and_columns() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let data = folder.path().join("data");
    write_digits(&data, 10);
    let picture = format!("gray={}", file("digit.png", &digit_png(3, 0)));
    let column = format!("gray={}:image", data.display());
    let (code, result) = check("image", &["--sample", &picture, "--sample", &column]);
    assert_eq!((code, of(&result, "failed")), (0, vec![]));
    let sound = format!("log-mel={}", file("tone.wav", &tone_wav(3, 0)));
    assert_eq!(check("audio", &["--sample", &sound]).0, 0);
    // A sample that the codec refuses is the author's mistake; a missing sample file is the user's.
    let (code, result) = check("label", &["--sample", &format!("one-hot={}", file("label", b"11\n"))]);
    assert_eq!(code, 3);
    assert!(of(&result, "failed")[0].contains("one-hot encode: given sample 0 is refused"), "{result}");
    let library = library("label").display().to_string();
    assert_eq!(anyflow(["plugin", "check", &library, "--sample", "one-hot=/no/file"]).code, 2);
    assert_eq!(anyflow(["plugin", "check", "/no/plugin.so"]).code, 2);
}

#[test]
fn every_fault_fails_its_check() {
    let cases = [
        ("panic", "network shapes", "panicked"),
        ("nan", "network shapes", "NaN"),
        ("wrong-shape", "network shapes", "the descriptor says"),
        ("wrong-type", "network shapes", "Double"),
        ("error", "network shapes", "asked to fail"),
        ("memory", "network shapes", "libtorch"),
        ("abort", "network shapes", "signal 6"),
        ("sleep", "network shapes", "still not done after 5 s"),
    ];
    for (fault, check_name, words) in cases {
        let fault = format!("network.fault={fault}");
        let more = ["--set", &fault, "--set", "network.seconds=30", "--timeout", "5"];
        let (code, result) = check("faulty", if fault.ends_with("sleep") { &more } else { &more[..4] });
        let failed = of(&result, "failed");
        let named = failed.iter().any(|line| line.starts_with(check_name) && line.contains(words));
        assert!(code == 3 && named, "{fault}: {failed:?}");
        // Without a fault, the module passes; the codec of this plugin panics for a length below zero.
        let panics = failed.iter().any(|line| line.starts_with("panics wrong-arrays") && line.contains("panicked"));
        assert!(panics, "{failed:?}");
    }
    let (code, result) = check("faulty", &[]);
    let failed = of(&result, "failed");
    assert!(code == 3 && failed.iter().all(|line| line.starts_with("panics ")), "{failed:?}");
}

#[test]
fn every_side_effect_fails_its_check() {
    let cases = [
        ("FLUSHES", "floats", "flushed to zero"),
        ("MOVES", "folder", "`/`"),
        ("MASKS", "umask", "0077"),
        ("HANDLES", "signals", "SigIgn"),
        ("SPEAKS", "locale", "C.UTF-8"),
        ("OPENS", "files", "/dev/null"),
        ("LINGERS", "threads-left", "not there before"),
        ("FORKS", "children", "not there before"),
        ("PRINTS", "prints", "bytes on standard output"),
        ("WRITES", "decode", "changed the array"),
        ("ELSEWHERE", "decode", "another thread"),
        ("LATE", "decode", "after a call returned"),
    ];
    for (fault, check_name, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let library = compile("tests/native/guests.c", &[fault], folder.path()).display().to_string();
        let output = anyflow(["plugin", "check", &library, "--json"]);
        let code = output.code;
        let failed = of(&output.json(), "failed");
        let named = |line: &String| line.split(':').next().unwrap().ends_with(check_name) && line.contains(words);
        // The next call, of any function, notices a late report.
        let named = failed.iter().any(|line| named(line) || (fault == "LATE" && line.contains(words)));
        assert!(code == 3 && named, "{fault}: {failed:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let library = compile("tests/native/guests.c", &[], folder.path()).display().to_string();
    let result = anyflow(["plugin", "check", &library, "--json"]).json();
    assert_eq!(of(&result, "failed"), Vec::<String>::new());
    // A module that is bound to its first thread fails on any other.
    let bound = compile("tests/native/guests.c", &["BOUND"], folder.path()).display().to_string();
    let failed = of(&anyflow(["plugin", "check", &bound, "--json"]).json(), "failed");
    assert!(
        failed.len() == 1 && failed[0].starts_with("copy home: ") && failed[0].contains("first thread"),
        "{failed:?}"
    );
    let fast = compile_with("tests/native/guests.c", &[], &["-ffast-math", "-fno-finite-math-only"], folder.path());
    let result = anyflow(["plugin", "check", &fast.display().to_string(), "--json"]).json();
    // Newer compilers do not change the floating-point environment of the thread.
    let failed = of(&result, "failed");
    assert!(failed.iter().all(|line| line.contains("load-floats") && line.contains("-ffast-math")), "{failed:?}");
    // Values too large to copy are not copied.
    for fault in ["LIST=lengths[0]=list.values_len=(size_t)1<<40", "FILES=files[0].len=(size_t)1<<40", "CELL_HUGE"] {
        let huge = compile("tests/native/faults.c", &[fault], folder.path());
        let failed = of(&anyflow(["plugin", "check", &huge.display().to_string(), "--json"]).json(), "failed");
        let named = |line: &String| line.starts_with("number decode: ") && line.contains("any column can hold");
        assert!(failed.iter().any(named), "{fault}: {failed:?}");
    }
    for (fault, words) in [("no-grad", "`grad false"), ("threads", "which was `grad true, inference false, 1 threads`")]
    {
        let failed = of(&check("faulty", &["--set", &format!("network.fault={fault}")]).1, "failed");
        assert!(failed.iter().any(|line| line.starts_with("network modes") && line.contains(words)), "{failed:?}");
    }
}

#[test]
fn a_file_that_is_not_a_plugin_fails_the_check() {
    let program = anyflow_tests::target().join("anyflow").display().to_string();
    let output = anyflow(["plugin", "check", &program, "--json"]);
    assert_eq!(output.code, 3);
    assert!(of(&output.json(), "failed")[0].contains("file: no section"), "{}", output.out);
    let text = anyflow(["plugin", "check", &library("label").display().to_string()]).ok().out;
    assert!(text.contains("passed  one-hot  round-trip"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("label 0.1.0: "), "{text}");
}

#[test]
fn list_and_info_show_the_whole_descriptor() {
    let info = anyflow(["plugin", "info", "label"]).ok().out;
    for words in
        ["license   MIT OR Apache-2.0", "blake3    ", "libtorch  not needed", "classes", "integer from 2", "default 10"]
    {
        assert!(info.contains(words), "{words} in\n{info}");
    }
    let json = anyflow(["plugin", "info", "label", "--json"]).ok().json();
    let bytes = std::fs::read(library("label")).unwrap();
    assert_eq!(json["hash"].as_str().unwrap().len(), 64);
    assert_eq!(json["path"], library("label").canonicalize().unwrap().display().to_string());
    assert_eq!(json["descriptor"]["codecs"][0]["parameters"]["classes"]["default"], 10);
    let list = anyflow(["plugin", "list", "--json"]).ok().json();
    let listed = list["plugins"].as_array().unwrap().iter().find(|p| p["descriptor"]["plugin"] == "label").unwrap();
    assert_eq!(listed["hash"], json["hash"]);
    assert!(!bytes.is_empty() && anyflow(["plugin", "list"]).ok().out.contains("MIT OR Apache-2.0"));
}
