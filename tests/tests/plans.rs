//! Compiles every shipped YAML file with the real plugins and compares the printed plan with a snapshot. Update
//! snapshots with `INSTA_UPDATE=always cargo test -p anyflow-tests --test plans`.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::Path;

use anyflow_tests::{anyflow, files_below, target};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The printed plan, without the paths of this machine.
fn printed(text: &str) -> String {
    let root = std::fs::canonicalize(ROOT).expect("the workspace is there").display().to_string();
    text.replace(&target().display().to_string(), "<target>").replace(&root, "<root>")
}

/// Where published models are.
const PRETRAINED: &str = "pipelines/pretrained";
const PRETRAINED_MODELS: [&str; 7] =
    ["clip.yaml", "minilm.yaml", "sd15-inpainting.yaml", "sd15.yaml", "sdxl.yaml", "taef2.yaml", "taesd.yaml"];

/// A copy of the published models with an empty file in the place of each file that they name, which are not in the tree: a
/// plan needs their names only.
fn pretrained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join(PRETRAINED);
    std::fs::create_dir_all(&copy).unwrap();
    for file in files_below(&Path::new(ROOT).join(PRETRAINED), "yaml") {
        std::fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        let named = text.split(": ").skip(1).filter(|rest| rest.starts_with("weights/"));
        for path in named.filter_map(|rest| rest.split([',', '}', '\n']).next()) {
            let path = copy.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
    }
    folder
}

#[test]
fn plans_of_shipped_files_equal_their_snapshots() {
    let root = Path::new(ROOT);
    let files = files_below(&root.join("pipelines"), "yaml").into_iter();
    let files: Vec<String> = files.map(|f| f.strip_prefix(root).unwrap().display().to_string()).collect();
    assert!(files.len() >= 12, "{files:?}");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    let pretrained = pretrained();
    let copies = std::fs::canonicalize(pretrained.path()).unwrap().display().to_string();
    for file in files {
        let path = if file.starts_with(PRETRAINED) { format!("{copies}/{file}") } else { file.clone() };
        anyflow(["check", &path]).ok();
        if file.contains("/model") || PRETRAINED_MODELS.iter().any(|name| file == format!("{PRETRAINED}/{name}")) {
            continue;
        }
        let plan = anyflow(["plan", &path]).ok();
        let name = file.trim_start_matches("pipelines/").trim_end_matches(".yaml").replace('/', "-");
        settings.bind(|| insta::assert_snapshot!(name, printed(&plan.out).replace(&copies, "<root>")));
    }
}

#[test]
fn plans_are_printed_in_every_format() {
    let file = "pipelines/mld/text-to-image-audio.yaml";
    let mermaid = anyflow(["plan", file, "--format", "mermaid"]).ok().out;
    assert!(mermaid.contains("flowchart") && mermaid.contains("joint"), "{mermaid}");
    let svg = anyflow(["plan", file, "--format", "svg"]).ok().out;
    assert!(svg.contains("<svg") && svg.contains("joint"), "{svg}");
    let json = anyflow(["plan", file, "--format", "json"]).ok().json();
    assert_eq!(json["name"], "text-to-image-audio");
}

#[test]
fn plans_have_all_options_on_request() {
    let file = "pipelines/mld/joint.yaml";
    let [changed, all] = [vec!["plan", file], vec!["plan", file, "--all"]].map(|arguments| anyflow(arguments).ok().out);
    assert!(!changed.contains("beta_min") && all.contains("beta_min"), "{changed}{all}");
}

#[test]
fn keys_are_explained() {
    let text = anyflow(["explain", "ddim.eta"]).ok().out;
    assert!(text.starts_with("sampler.ddim.eta\n") && text.contains("used in"), "{text}");
    let json = anyflow(["explain", "sampler.ddim.eta", "--json"]).ok().json();
    assert_eq!(json[0]["keys"][0]["key"], "sampler.ddim.eta");
    let refused = anyflow(["explain", "obsrve"]);
    assert!(refused.code == 2 && refused.err.contains("did you mean `observe`?"), "{}", refused.err);
}

#[test]
fn codes_of_errors_are_explained() {
    let refused = anyflow(["check", &format!("{ROOT}/pipelines/mld/joint.yaml"), "--set", "joint.sampler.stepps=5"]);
    assert!(
        refused.code == 2 && refused.err.contains("1 error; for more see `anyflow explain unknown-key`"),
        "{}",
        refused.err
    );
    let text = anyflow(["explain", "unknown-key"]).ok().out;
    assert!(text.starts_with("unknown-key\n") && text.contains("example") && text.contains("cure"), "{text}");
    let text = anyflow(["explain", "weights.pointer"]).ok().out;
    assert!(text.contains("git lfs pull"), "{text}");
    let json = anyflow(["explain", "missing-key", "--json"]).ok().json();
    assert_eq!(json["code"], "missing-key");
}

#[test]
fn planner_fixtures_equal_the_shipped_descriptors() {
    for name in ["image", "audio", "text", "label"] {
        let library = std::fs::read(anyflow_tests::library(name)).unwrap();
        let real: serde_json::Value = serde_json::from_str(anyflow_abi::read::descriptor(&library).unwrap()).unwrap();
        let fixture = format!("{ROOT}/core/plan/tests/descriptors/{name}.json");
        let fixture: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
        let ports = |descriptor: &serde_json::Value, kind: &str, id: &str| {
            let found = descriptor[kind].as_array().unwrap().iter().find(|c| c["id"] == id);
            found.map(|c| (c["modality"].clone(), c["cell"].clone(), c["roles"].clone()))
        };
        for kind in ["codecs", "modules"] {
            for component in fixture[kind].as_array().unwrap() {
                let id = component["id"].as_str().unwrap();
                assert_eq!(ports(&fixture, kind, id), ports(&real, kind, id), "{name}/{id}");
            }
        }
    }
}
