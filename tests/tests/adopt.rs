//! Published models, from their folders, through the programs.

#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyflow_tests::{TinyFolder, anyflow, sparse, target};
use serde_json::{Map, Value, json};

/// Writes a folder of the corpus: file -> JSON, text, or `weights`.
fn write(name: &str, folder: &Path) {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/published");
    let text = std::fs::read_to_string(format!("{corpus}/{name}.json")).unwrap();
    let files: Map<String, Value> = serde_json::from_str(&text).unwrap();
    for (name, value) in &files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match value.as_str() {
            Some("weights") => sparse(&path, &[("a".to_string(), vec![2])], "F16"),
            Some(text) => std::fs::write(path, text).unwrap(),
            None => std::fs::write(path, value.to_string()).unwrap(),
        }
    }
}

fn adopt(folder: &Path, output: &Path) -> anyflow_tests::Output {
    anyflow(["adopt".as_ref(), folder.as_os_str(), "--output".as_ref(), output.as_os_str()])
}

#[test]
fn each_family_becomes_its_model_file() {
    for name in ["sd15", "sd15-inpainting", "sd2-base", "sd2-v", "sdxl", "sdxl-refiner", "clip", "minilm", "taesd"] {
        let project = tempfile::tempdir().unwrap();
        let [folder, output] = [name, "model.yaml"].map(|file| project.path().join(file));
        write(name, &folder);
        adopt(&folder, &output).ok();
        let text = std::fs::read_to_string(&output).unwrap();
        insta::assert_snapshot!(format!("adopted-{name}"), text);
        adopt(&folder, &output).ok();
        std::fs::write(&output, "anyflow: 1\n").unwrap();
        let kept = adopt(&folder, &output);
        assert!(kept.code == 2 && kept.err.contains("exists with another text"), "{}", kept.err);
    }
}

#[test]
fn the_shipped_model_files_are_what_adopt_writes() {
    for name in ["clip", "sd15", "sd15-inpainting", "sdxl", "taesd"] {
        let project = tempfile::tempdir().unwrap();
        let [folder, output] =
            [format!("weights/{name}"), format!("{name}.yaml")].map(|file| project.path().join(file));
        write(name, &folder);
        adopt(&folder, &output).ok();
        let shipped = format!("{}/../pipelines/pretrained/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(std::fs::read_to_string(&output).unwrap(), std::fs::read_to_string(shipped).unwrap());
        anyflow(["check".as_ref(), output.as_os_str()]).ok();
    }
}

/// A model with the U-Net of Stable Diffusion 1.5, but three channels, and its weights as a file of this name.
fn unet(project: &Path) -> PathBuf {
    let model = "anyflow: 1\nname: unet\nlicense: openrail\ncheckpoint:\n  denoisers.d: {from: unet, map: unet-2d}\n  \
                 prompts.words: {from: words.safetensors, part: \"\", map: own.map}\nstreams:\n  image: {codec: {use: image/rgb, \
                 height: 64, width: 64, fit: crop}, latent: [3, 64, 64]}\nprompts:\n  words: {codec: {use: text/words, \
                 vocabulary: [\"\", one, two], length: 4}, module: text/prompt, tokens: [1, 768]}\ndenoisers:\n  d:\n    over: \
                 [image]\n    prompts: [words]\n    predict: eps\n    network: {kind: unet, block_out_channels: [320, 640, 1280, \
                 1280], attention: [true, true, true, false], layers_per_block: 2, num_attention_heads: [8]}\n";
    std::fs::write(project.join("own.map"), "ignore buffer\n").unwrap();
    std::fs::create_dir_all(project.join("unet")).unwrap();
    let path = project.join("model.yaml");
    std::fs::write(&path, model).unwrap();
    path
}

fn report(model: &Path) -> (i32, Value) {
    let output = anyflow(["--json".as_ref(), "check".as_ref(), model.as_os_str(), "--weights".as_ref()]);
    assert!(output.code == 0 || output.code == 2, "{}", output.err);
    (output.code, serde_json::from_str(&output.out).unwrap())
}

/// The weights that the model lacks, by part, with their shapes as the report of wrong shapes names them.
fn missing(report: &Value, part: usize) -> Vec<String> {
    let missing = report["report"]["parts"][part]["missing"].as_array().unwrap();
    missing.iter().map(|missing| missing["name"].as_str().unwrap().to_string()).collect()
}

#[test]
fn weights_are_compared_by_their_headers() {
    let project = tempfile::tempdir().unwrap();
    let model = unet(project.path());
    let file = project.path().join("unet/diffusion_pytorch_model.safetensors");
    let words = project.path().join("words.safetensors");
    sparse(&file, &[("odd".into(), vec![1])], "F16");
    sparse(&words, &[("odd".into(), vec![1])], "F16");
    let (code, nothing) = report(&model);
    assert_eq!((code, nothing["is_complete"].as_bool()), (2, Some(false)));
    let names = missing(&nothing, 0);
    assert_eq!(names.len(), 686, "the published number of tensors");

    // All of one element: every shape is wrong, and the report says which is right.
    let inner = |name: &String, part: &str| name.strip_prefix(part).unwrap().to_string();
    let ones = |names: &[String], part: &str| -> Vec<(String, Vec<usize>)> {
        names.iter().map(|name| (inner(name, part), vec![0])).collect()
    };
    sparse(&file, &ones(&names, "denoisers.d."), "F16");
    sparse(&words, &ones(&missing(&nothing, 1), "prompts.words.module."), "F32");
    let (code, wrong) = report(&model);
    assert_eq!(code, 2);
    let shapes = |part: usize, prefix: &str| -> Vec<(String, Vec<usize>)> {
        let wrong = wrong["report"]["parts"][part]["misshapen"].as_array().unwrap();
        let tensor = |wrong: &Value| {
            let shape = wrong["wanted"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
            (inner(&wrong["name"].as_str().unwrap().to_string(), prefix), shape)
        };
        wrong.iter().map(tensor).collect()
    };
    let mut own = shapes(0, "denoisers.d.");
    let numbers: usize = own.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
    // 859,520,964 as published, with four channels in and out.
    assert_eq!(numbers, 859_520_964 - 320 * 9 - (320 * 9 + 1));
    sparse(&file, &own, "F16");
    let mut prompt = shapes(1, "prompts.words.module.");
    prompt.push(("buffer".into(), vec![1]));
    sparse(&words, &prompt, "F32");
    let (code, right) = report(&model);
    assert_eq!(
        (code, right["is_complete"].as_bool(), &right["license"]),
        (0, Some(true), &json!("openrail")),
        "{right}"
    );
    assert_eq!(right["report"]["parts"][1]["ignorable"], json!(["buffer"]));

    let last = own.len() - 1;
    own[last].0 = format!("{}s", own[last].0);
    sparse(&file, &own, "F16");
    let output = anyflow(["check".as_ref(), model.as_os_str(), "--weights".as_ref()]);
    assert_eq!(output.code, 2, "{}", output.err);
    let wanted = format!("(did you mean, in the file: {})", own[last].0);
    assert!(output.out.contains(&wanted) && output.out.contains("f16"), "{}", output.out);

    std::fs::write(&file, "version https://git-lfs.github.com/spec/v1\n").unwrap();
    let pointer = anyflow(["--json".as_ref(), "check".as_ref(), model.as_os_str(), "--weights".as_ref()]);
    assert_eq!(pointer.code, 2);
    assert!(pointer.out.contains("weights.pointer") && pointer.out.contains("git lfs pull"), "{}", pointer.out);
}

#[test]
fn an_unknown_key_map_is_named() {
    let project = tempfile::tempdir().unwrap();
    let model = unet(project.path());
    let text = std::fs::read_to_string(&model).unwrap();
    std::fs::write(&model, text.replace("unet-2d", "unet-3d")).unwrap();
    let output = anyflow(["check".as_ref(), model.as_os_str()]);
    assert!(output.code == 2 && output.err.contains("no key map `unet-3d`"), "{}", output.err);
    std::fs::write(&model, text).unwrap();
    std::fs::write(project.path().join("own.map"), "ignore buffer\nrenam a -> b\n").unwrap();
    let output = anyflow(["check".as_ref(), model.as_os_str()]);
    assert!(output.code == 2 && output.err.contains("own.map is wrong in line 2"), "{}", output.err);
}

/// Anonymous memory that a check of headers may take, in KiB: less than a tenth of the largest network in f32.
const MOST_KIB: u64 = 1 << 20;
/// The goal is 3 s, on a machine that does nothing else.
const MOST_TIME: Duration = Duration::from_secs(20);

/// Replaces the excerpts of CLIP's tokenizers by ones of as many tokens as they have.
fn fill_tokenizers(folder: &Path) {
    let marks = [("!", 0), ("<|startoftext|>", 49_406), ("<|endoftext|>", 49_407)];
    let others = (1..49_406).map(|id| (format!("token{id}"), json!(id)));
    let vocabulary: Map<String, Value> =
        marks.map(|(mark, id)| (mark.to_string(), json!(id))).into_iter().chain(others).collect();
    let vocabulary = Value::from(vocabulary).to_string();
    for folder in [folder.to_path_buf(), folder.join("tokenizer"), folder.join("tokenizer_2")] {
        if ["vocab.json", "tokenizer.json"].iter().any(|file| folder.join(file).exists()) {
            let _ = std::fs::remove_file(folder.join("tokenizer.json"));
            std::fs::write(folder.join("vocab.json"), &vocabulary).unwrap();
            std::fs::write(folder.join("merges.txt"), "#version: 0.2\n").unwrap();
        }
    }
}

/// The published names and shapes at their true sizes, gigabytes, in files that take no disk.
#[test]
fn true_sizes_are_compared_without_memory() {
    for name in ["sd15", "sdxl", "sdxl-refiner", "clip", "minilm"] {
        let project = tempfile::tempdir().unwrap();
        let [folder, model] = [name, "model.yaml"].map(|file| project.path().join(file));
        write(name, &folder);
        adopt(&folder, &model).ok();
        fill_tokenizers(&folder);
        TinyFolder::at_true_size(name).write_sparse(&folder, &model);
        let limited = format!("ulimit -d {MOST_KIB}; exec \"$0\" \"$@\"");
        let started = Instant::now();
        let output = Command::new("bash")
            .args(["-c", &limited])
            .arg(target().join("anyflow"))
            .args(["--json".as_ref(), "check".as_ref(), model.as_os_str(), "--weights".as_ref()])
            .output()
            .unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(output.status.code(), Some(0), "{name}: {out}{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["is_complete"], true, "{name}: {report}");
        assert!(started.elapsed() < MOST_TIME, "{name}: {:?}", started.elapsed());
    }
}
