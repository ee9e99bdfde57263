//! Which crates may know each other. `core/README.md` lists these invariants.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyflow_datasets::Generator;
use anyflow_tests::files_below;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

fn packages() -> Vec<Package> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap().packages
}

/// The dependencies of a package, except those of its tests.
fn dependencies(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal);
    normal.map(|d| d.name.clone()).collect()
}

fn ours(package: &Package) -> BTreeSet<String> {
    dependencies(package).into_iter().filter(|name| name.starts_with("anyflow-")).collect()
}

#[test]
fn crates_depend_on_each_other_as_designed() {
    let allowed = |name: &str| -> &[&str] {
        match name {
            "anyflow-abi" | "anyflow-config" | "anyflow-datasets" | "anyflow-weights" | "anyflow-native" | "xtask" => {
                &[]
            }
            "anyflow-plan" => &["anyflow-config"],
            "anyflow-diffusion" => &["anyflow-config", "anyflow-native"],
            "anyflow-sdk" => &["anyflow-abi"],
            "anyflow-server" => &["anyflow-config", "anyflow-plan", "anyflow-datasets"],
            "anyflow-cluster" => &["anyflow-plan", "anyflow-datasets"],
            "anyflow-cli" => &["anyflow-abi", "anyflow-plan", "anyflow-datasets", "anyflow-server", "anyflow-weights"],
            // The SDK's test kit is a small host that checks linked and loaded plugins alike.
            "anyflow-runtime" => &[
                "anyflow-abi",
                "anyflow-config",
                "anyflow-plan",
                "anyflow-datasets",
                "anyflow-diffusion",
                "anyflow-sdk",
                "anyflow-weights",
            ],
            "anyflow-tests" => &["anyflow-abi", "anyflow-plan", "anyflow-datasets", "anyflow-runtime"],
            plugin if plugin.starts_with("anyflow-plugin-") => &["anyflow-sdk"],
            other => panic!("crate {other} is missing in the table of allowed dependencies"),
        }
    };
    for package in packages() {
        for dependency in ours(&package) {
            assert!(allowed(&package.name).contains(&dependency.as_str()), "{} -> {dependency}", package.name);
        }
    }
}

#[test]
fn only_engine_plugins_and_tests_depend_on_libtorch() {
    for package in packages() {
        let knows = dependencies(&package).contains("tch");
        let may = ["anyflow-sdk", "anyflow-native", "anyflow-diffusion", "anyflow-runtime", "anyflow-tests"];
        assert!(!knows || may.contains(&package.name.as_str()), "{} depends on tch", package.name);
    }
}

/// True if a package depends on another directly or indirectly, except in its tests.
fn reaches(metadata: &Metadata, from: &str, to: &str) -> bool {
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let id = |name: &str| metadata.packages.iter().find(|p| p.name.as_str() == name).unwrap().id.clone();
    let target = id(to);
    let mut seen = BTreeSet::new();
    let mut waiting = vec![id(from)];
    while let Some(package) = waiting.pop() {
        if package == target {
            return true;
        }
        if seen.insert(package.clone()) {
            let node = nodes.iter().find(|node| node.id == package).unwrap();
            let needed = node.deps.iter().filter(|d| d.dep_kinds.iter().any(|k| k.kind != DependencyKind::Development));
            waiting.extend(needed.map(|d| d.pkg.clone()));
        }
    }
    false
}

#[test]
fn crates_without_tensors_do_not_depend_on_libtorch_indirectly() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).exec().unwrap();
    let without = ["abi", "config", "plan", "datasets", "weights", "server", "cli", "cluster"]
        .map(|name| format!("anyflow-{name}"));
    for name in without.iter().map(String::as_str).chain(["xtask"]) {
        assert!(!reaches(&metadata, name, "torch-sys"), "{name} reaches libtorch");
    }
    assert!(reaches(&metadata, "anyflow-runtime", "torch-sys"), "the test can detect it");
}

#[test]
fn checking_and_planning_need_neither_libtorch_nor_weights() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&bin).unwrap();
    std::fs::create_dir(&plugins).unwrap();
    std::fs::copy(anyflow_tests::target().join("anyflow"), bin.join("anyflow")).unwrap();
    for name in ["image", "audio", "text", "label"] {
        let library = anyflow_tests::library(name);
        std::fs::copy(&library, plugins.join(library.file_name().unwrap())).unwrap();
    }
    for file in ["model.yaml", "words.txt", "joint.yaml"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/mld").join(file);
        std::fs::copy(shipped, folder.path().join(file)).unwrap();
    }
    // No library path, no cache, no engine next to the program, no weights next to the model.
    for command in ["check", "plan"] {
        let output = std::process::Command::new(bin.join("anyflow"))
            .arg(command)
            .arg(folder.path().join("joint.yaml"))
            .env_clear()
            .env("HOME", folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn only_the_cluster_is_built_on_demand() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().unwrap();
    let default: BTreeSet<&str> =
        metadata.workspace_default_packages().iter().map(|package| package.name.as_str()).collect();
    let others: Vec<&str> =
        metadata.packages.iter().map(|package| package.name.as_str()).filter(|name| !default.contains(name)).collect();
    assert_eq!(others, ["anyflow-cluster"]);
    for package in metadata.packages.iter().filter(|package| default.contains(package.name.as_str())) {
        let heavy = package
            .dependencies
            .iter()
            .find(|d| ["ballista", "datafusion"].iter().any(|name| d.name.starts_with(name)));
        assert!(heavy.is_none(), "{} depends on {}", package.name, heavy.unwrap().name);
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
    for name in ["arrow-array", "arrow-schema", "object_store", "parquet"] {
        assert_eq!(lock.matches(&format!("name = \"{name}\"\n")).count(), 1, "{name}");
    }
}

#[test]
fn engine_and_planner_name_no_modality_and_no_generator() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let folders = ["core/config/src", "core/diffusion/src", "core/plan/src"];
    for file in folders.iter().flat_map(|folder| files_below(&root.join(folder), "rs")) {
        let text = std::fs::read_to_string(&file).unwrap().to_lowercase();
        let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for name in ["image", "audio", "video"].into_iter().chain(Generator::ALL.map(Generator::name)) {
            assert!(!words.contains(name), "{} names {name}", file.display());
        }
        // "text" is also an ordinary word in code; as the name of a modality it would be in quotes.
        assert!(!text.contains("\"text\""), "{} names text", file.display());
    }
}

#[test]
fn unsafe_code_is_only_in_listed_folders() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let allowed = [
        "core/abi/src",
        "core/sdk/src",
        "core/native/src",
        "core/runtime/src/lib.rs",
        "core/runtime/src/mapped.rs",
        "core/runtime/src/mapped/column.rs",
        "core/runtime/src/plugin",
        "core/runtime/src/process.rs",
        "core/runtime/src/process",
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

/// The names of the public types in a file; in a macro that declares types, `$name` is not a name.
fn public_types(text: &str) -> impl Iterator<Item = &str> {
    let kinds = ["pub struct ", "pub enum ", "pub trait ", "pub type "];
    text.lines().filter_map(move |line| {
        let name = kinds.iter().find_map(|kind| line.trim_start().strip_prefix(kind))?;
        name.split(|c: char| !c.is_alphanumeric()).next().filter(|name| !name.is_empty())
    })
}

#[test]
fn a_type_shares_its_name_only_with_its_other_side() {
    // A codec, a module and what they exchange have a host's side and a plugin's side. `datasets` and `plan` know no
    // other crate of ours, so each declares the kinds of cells and the fault of an error for itself.
    let shared = [
        "Cell",
        "CellKind",
        "Codec",
        "CodecDescriptor",
        "Fault",
        "List",
        "Module",
        "ModuleDescriptor",
        "OwnedCell",
        "OwnedList",
        "PluginDescriptor",
        "Role",
        "RoleDescriptor",
        "Error",
        "Result",
    ];
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut crates: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for name in [
        "core/abi",
        "core/sdk",
        "core/config",
        "core/cluster",
        "core/plan",
        "core/weights",
        "core/diffusion",
        "core/native",
        "core/runtime",
        "core/server",
        "core/cli",
        "datasets",
    ] {
        for file in files_below(&root.join(name).join("src"), "rs") {
            // A template is the text of a plugin that does not exist yet.
            if file.iter().any(|part| part == "template") {
                continue;
            }
            for found in public_types(&std::fs::read_to_string(&file).unwrap()) {
                crates.entry(found.to_owned()).or_default().insert(name);
            }
        }
    }
    assert!(crates["Codec"].len() == 2 && crates.len() > 200, "the test can detect them");
    crates.retain(|name, places| places.len() > 1 && !shared.contains(&name.as_str()));
    assert_eq!(crates, BTreeMap::new(), "these types share a name across crates");
}
