//! `keep` of a stage, and a model that starts from another: through the programs.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use anyflow_tests::{Numbers, anyflow};

const KEPT: &str = "stages/01-diffusion-40.safetensors";

/// The project with these keys in the stage that trains the denoiser.
fn with(keys: &str) -> Numbers {
    let numbers = Numbers::new();
    numbers.edit("train.yaml", "steps: 100", keys);
    numbers
}

fn tensors(numbers: &Numbers, name: &str) -> Vec<u8> {
    let bytes = std::fs::read(numbers.path(name)).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

#[test]
fn kept_weights_are_those_of_a_stage_that_ends_there() {
    let optimizer = "optimizer: {kind: adamw, lr: 1.0e-2, decay: constant}, ema: 0.9";
    let kept = with(&format!("steps: 100, keep: [40, 99], {optimizer}"));
    kept.train("out", &[]).ok();
    let short = with(&format!("steps: 40, {optimizer}"));
    short.train("out", &[]).ok();
    let finished = tensors(&short, "out/stages/01-diffusion.safetensors");
    assert_eq!(tensors(&kept, &format!("out/{KEPT}")), finished);
    assert_ne!(tensors(&kept, "out/stages/01-diffusion-99.safetensors"), finished);

    let plain = with(&format!("steps: 100, {optimizer}"));
    plain.train("out", &[]).ok();
    let model = |numbers: &Numbers| std::fs::read(numbers.path("out/model.safetensors")).unwrap();
    assert_eq!(model(&kept), model(&plain), "to keep weights changes no weight");
}

#[test]
fn a_killed_training_keeps_the_same_weights() {
    let numbers = with("steps: 1200, keep: [40, 700]");
    numbers.train("whole", &[]).ok();
    // Record, order, cache, statistics, step 40, the state at 500, step 700; then the state at 1000.
    for published in [4, 5, 6, 7] {
        let point = ("ANYFLOW_FAILPOINT", format!("file-published:{published}").into());
        assert_ne!(numbers.train("cut", &[point]).code, 0);
        numbers.train("cut", &[]).ok();
        for name in [KEPT, "stages/01-diffusion-700.safetensors", "model.safetensors"] {
            let file = |folder: &str| std::fs::read(numbers.path(folder).join(name)).unwrap();
            assert_eq!(file("cut"), file("whole"), "{name} after {published} files");
        }
        std::fs::remove_dir_all(numbers.path("cut")).unwrap();
    }
    numbers.call(&[], &["data", "verify", "whole"]).ok();
    let path = numbers.path("whole").join(KEPT);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 2;
    bytes[at] ^= 0x10;
    std::fs::write(&path, bytes).unwrap();
    let damaged = numbers.call(&[], &["data", "verify", "whole"]);
    assert!(damaged.code == 1 && damaged.out.contains(KEPT), "{damaged:?}");
}

#[test]
fn a_model_that_starts_from_another_trains_and_runs() {
    let numbers = Numbers::new();
    std::fs::create_dir(numbers.path("wide")).unwrap();
    let model = "anyflow: 1\nname: wide\nfrom: ../model.yaml\ncheckpoint: ../out/model.safetensors\n\
                 denoisers: {only: {network: {width: 16}}}\n";
    numbers.write("wide/model.yaml", model);
    numbers.edit("train.yaml", "model: model.yaml", "model: wide/model.yaml");
    numbers.edit("train.yaml", "start: weights/model.safetensors\n", "");
    numbers.train("out", &[]).ok();
    numbers.edit("pipeline.yaml", "model: model.yaml", "model: wide/model.yaml");
    numbers.run("made", &[]).ok();

    numbers.write("wide/again.yaml", "anyflow: 1\nname: again\nfrom: model.yaml\n");
    let check = || anyflow(["check".as_ref(), numbers.path("wide/again.yaml").as_os_str()]);
    let chained = check();
    assert_eq!(chained.code, 2);
    assert!(
        ["wide/again.yaml:3:7", "wide/model.yaml:3:1"].iter().all(|place| chained.err.contains(place)),
        "{chained:?}"
    );
    numbers.write("wide/again.yaml", "anyflow: 1\nname: again\nfrom: absent.yaml\n");
    let absent = check();
    assert!(absent.code == 2 && absent.err.contains("absent.yaml") && absent.err.contains("again.yaml"), "{absent:?}");
}
