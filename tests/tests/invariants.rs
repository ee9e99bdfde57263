//! What the crates must not know of one another. The README prints these invariants.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::collections::BTreeSet;
use std::path::Path;

use anyflow_tests::files_below;
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

fn packages() -> Vec<Package> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap().packages
}

/// What a package depends on, tests apart.
fn dependencies(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
    normal.map(|d| d.name.clone()).collect()
}

fn ours(package: &Package) -> BTreeSet<String> {
    dependencies(package).into_iter().filter(|name| name.starts_with("anyflow-")).collect()
}

#[test]
fn arrows_between_our_crates_point_one_way() {
    let allowed = |name: &str| -> &[&str] {
        match name {
            "anyflow-abi" | "anyflow-plan" | "anyflow-datasets" | "anyflow-diffusion" | "xtask" => &[],
            "anyflow-sdk" => &["anyflow-abi"],
            "anyflow-cli" => &["anyflow-abi", "anyflow-plan", "anyflow-datasets"],
            "anyflow-runtime" => &["anyflow-abi", "anyflow-plan", "anyflow-datasets", "anyflow-diffusion"],
            "anyflow-tests" => &["anyflow-abi", "anyflow-plan", "anyflow-datasets", "anyflow-runtime"],
            plugin if plugin.starts_with("anyflow-plugin-") => &["anyflow-sdk"],
            other => panic!("crate {other} has no place in the table of arrows"),
        }
    };
    for package in packages() {
        for dependency in ours(&package) {
            assert!(allowed(&package.name).contains(&dependency.as_str()), "{} -> {dependency}", package.name);
        }
    }
}

#[test]
fn only_engine_plugins_and_tests_know_libtorch() {
    for package in packages() {
        let knows = dependencies(&package).contains("tch");
        let may = ["anyflow-sdk", "anyflow-diffusion", "anyflow-runtime", "anyflow-tests"];
        assert!(!knows || may.contains(&package.name.as_str()), "{} depends on tch", package.name);
    }
}

#[test]
fn only_datasets_reads_parquet() {
    for package in packages() {
        let knows = dependencies(&package).contains("parquet");
        assert!(!knows || package.name.as_str() == "anyflow-datasets", "{} depends on parquet", package.name);
    }
}

#[test]
fn the_tree_has_one_arrow_and_one_parquet() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    for name in ["arrow-array", "arrow-schema", "parquet"] {
        assert_eq!(lock.matches(&format!("name = \"{name}\"\n")).count(), 1, "{name}");
    }
}

#[test]
fn engine_and_planner_name_no_modality() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for file in files_below(&root.join("core/diffusion/src"), "rs")
        .into_iter()
        .chain(files_below(&root.join("core/plan/src"), "rs"))
    {
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for modality in ["image", "audio", "video"] {
            assert!(!words.contains(modality), "{} names {modality}", file.display());
        }
    }
}

#[test]
fn unsafe_code_stands_at_the_border_only() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let allowed = [
        "core/abi/src",
        "core/sdk/src",
        "core/runtime/src/lib.rs",
        "core/runtime/src/plugin",
        "core/runtime/src/device.rs",
    ];
    for folder in ["core", "plugins", "datasets"] {
        for file in files_below(&root.join(folder), "rs") {
            let relative = file.strip_prefix(root).unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            let uses = text.contains("unsafe {") || text.contains("unsafe fn") || text.contains("unsafe impl");
            let may = allowed.iter().any(|folder| relative.starts_with(folder));
            assert!(!uses || may, "{} has unsafe code", relative.display());
        }
    }
}
