//! Runs `plugins/README.md`: its shell blocks, one after another in an empty folder. Its YAML blocks and its partial
//! Rust blocks (`rust,ignore`) must be in the crate that the shell blocks create. Complete Rust blocks are doctests of
//! the SDK.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::Path;
use std::process::Command;

use anyflow_tests::{Output, anyflow, files_below, target};

const GUIDE: &str = include_str!("../../plugins/README.md");

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("\n```{language}\n");
    GUIDE.split(fence.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

/// Runs a script as a user with `anyflow` in the `PATH`. It reuses the dependencies that are built for this workspace.
fn shell(folder: &Path, script: &str) -> Output {
    let path =
        std::env::join_paths([target()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())));
    let output = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", path.unwrap())
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_BUILD_BUILD_DIR", target().parent().unwrap())
        .env_remove("CARGO_TARGET_DIR")
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn the_plugin_guide_works_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = blocks("sh");
    assert!(scripts.len() >= 3, "{scripts:?}");
    let output = shell(folder.path(), &scripts.join("\n")).ok();
    assert!(output.out.contains("the_test_kit_passes ... ok"), "{}", output.out);
    assert!(output.out.contains(" 0 failed, "), "{}", output.out);

    let crate_folder = folder.path().join("daytime");
    let sources: String = ["rs", "yaml"]
        .iter()
        .flat_map(|extension| {
            files_below(&crate_folder.join("src"), extension)
                .into_iter()
                .chain(files_below(&crate_folder.join("pipeline"), extension))
        })
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let rust = blocks("rust,ignore");
    let yaml = blocks("yaml");
    assert!(rust.len() >= 3 && yaml.len() >= 2);
    for block in rust.into_iter().chain(yaml) {
        assert!(sources.contains(block), "not in the crate of `plugin new`:\n{block}");
    }
    let formatted = shell(&crate_folder, "cargo fmt --check").code;
    assert_eq!(formatted, 0, "the crate is not formatted as rustfmt would");

    // In the training data, people leave between 8:00 and 9:00 and come home between 17:00 and 18:28.
    let made =
        anyflow(["data", "head", "-n", "16", "--json", &crate_folder.join("made").display().to_string()]).ok().json();
    let times: Vec<&str> = made.as_array().unwrap().iter().map(|row| row["time"].as_str().unwrap()).collect();
    let seen = |time: &&&str| ("07:30"..="09:30").contains(*time) || ("16:30"..="19:00").contains(*time);
    assert_eq!(times.len(), 16);
    assert!(times.iter().filter(seen).count() >= 12, "{times:?}");

    // The judge finds the right part of the day in what the model generates.
    let eval = "export ANYFLOW_PLUGINS=$PWD/target/debug; anyflow eval pipeline/eval.yaml --data data --json";
    let findings = shell(&crate_folder, eval).ok().json();
    let variants = &findings["tasks"]["part-to-time"]["variants"];
    let answer = variants.as_object().unwrap().values().next().unwrap();
    let accuracy = answer["streams"]["time"]["accuracy"]["mean"].as_f64().unwrap();
    assert!(accuracy >= 0.9, "{findings}");
}

#[test]
fn every_kind_of_plugin_builds_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["codec", "module"] {
        let script = format!(
            "anyflow plugin new only-{kind} --kind {kind} --path {kind}; cd {kind}; cargo test --quiet; cargo build --quiet
             anyflow plugin check target/debug/libonly_{kind}.so
             export ANYFLOW_PLUGINS=$PWD/target/debug
             for file in pipeline/*.yaml; do anyflow check $file; done
             anyflow data import data/rows.csv --output data/rows.parquet
             anyflow train pipeline/train.yaml --data data --output trained --set diffusion.steps=20
             anyflow run pipeline/generate.yaml --rows 3 --output made"
        );
        shell(folder.path(), &script).ok();
    }
    // The commands in the crate's own README work wherever the target folder is.
    let made = shell(folder.path(), "anyflow plugin new whole").ok();
    assert!(made.out.contains("The first build takes 5 to 9 minutes"), "{}", made.out);
    let readme = std::fs::read_to_string(folder.path().join("whole/README.md")).unwrap();
    let commands = readme.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    shell(folder.path(), &format!("export CARGO_TARGET_DIR=$PWD/elsewhere; cd whole\n{commands}")).ok();
    assert!(
        folder.path().join("elsewhere/debug/libwhole.so").is_file() && !folder.path().join("whole/target").exists()
    );
    let again = anyflow(["plugin", "new", "x", "--path", &folder.path().display().to_string()]);
    assert!(again.code == 2 && again.err.contains("exists already"), "{}", again.err);
}
