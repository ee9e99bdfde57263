//! What cannot be adopted. Each family's model file is in the snapshots of `tests/tests/adopt.rs`.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::*;

/// A folder of the corpus: file -> JSON, text, or `weights`.
fn files(name: &str) -> Map<String, Value> {
    let path = format!("{}/../../tests/corpus/published/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn write(folder: &Path, files: &Map<String, Value>) {
    for (name, value) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = match value.as_str() {
            Some("weights") => {
                let header = br#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#;
                [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat()
            }
            Some(text) => text.as_bytes().to_vec(),
            None => value.to_string().into_bytes(),
        };
        std::fs::write(path, bytes).unwrap();
    }
}

fn adopted(files: &Map<String, Value>, like: Option<&str>) -> Result<String> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    adopt(&ModelFolder { path: folder.path().to_path_buf(), named: "sd15".into(), variant: None }, like)
}

/// The error of a folder in which a key of a file has another value, without the folder's own path.
fn refused(name: &str, file: &str, key: &str, value: Value) -> String {
    let mut files = files(name);
    match key {
        "" => files.shift_remove(file),
        _ => files[file].as_object_mut().unwrap().insert(key.into(), value),
    };
    let error = adopted(&files, None).unwrap_err();
    let text = error.to_string();
    let own = text.split(' ').find(|word| word.starts_with(std::env::temp_dir().to_str().unwrap()));
    let folder = own.and_then(|path| path.split('/').find(|part| part.starts_with(".tmp")));
    let root = std::env::temp_dir().join(folder.unwrap_or_default());
    format!("{}: {}", error.code(), text.replace(root.to_str().unwrap(), "FOLDER"))
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    const UNET: &str = "unet/config.json";
    const VAE: &str = "vae/config.json";
    const SCHEDULER: &str = "scheduler/scheduler_config.json";
    let mut catalogue = String::new();
    for (name, file, key, value) in [
        ("sd15", UNET, "dual_cross_attention", json!(true)),
        ("sd15", UNET, "class_embed_type", json!("timestep")),
        ("sd15", UNET, "time_cond_proj_dim", json!(256)),
        ("sd15", UNET, "mid_block_type", json!("UNetMidBlock2D")),
        ("sd15", UNET, "in_channels", json!(8)),
        ("sd15", UNET, "cross_attention_dim", json!(1024)),
        ("sd15", UNET, "down_block_types", json!(["AttnDownBlock2D"])),
        (
            "sd15",
            UNET,
            "up_block_types",
            json!(["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]),
        ),
        ("sd15", UNET, "sample_size", json!([64, 96])),
        ("sd15", UNET, "quantization_config", json!({"quant_method": "bitsandbytes", "load_in_4bit": true})),
        ("sd15", UNET, "", Value::Null),
        ("sd15", VAE, "latents_mean", json!([0.0])),
        ("sd15", "unet/diffusion_pytorch_model.safetensors", "", Value::Null),
        ("sd15", "tokenizer/merges.txt", "", Value::Null),
        ("sd15", "tokenizer/vocab.json", "<|endoftext|>", json!("x")),
        ("sd15", "text_encoder/config.json", "hidden_act", json!("relu")),
        ("sd15", SCHEDULER, "_class_name", json!("LCMScheduler")),
        ("sd15", SCHEDULER, "_class_name", json!("VQDiffusionScheduler")),
        ("sd15", SCHEDULER, "thresholding", json!(true)),
        ("sd15", SCHEDULER, "skip_prk_steps", json!(false)),
        ("sd15", SCHEDULER, "beta_schedule", json!("sigmoid")),
        ("sd15", SCHEDULER, "", Value::Null),
        ("sd15", "model_index.json", "_class_name", json!("AltDiffusionPipeline")),
        ("sd15", "model_index.json", "", Value::Null),
        ("sdxl", UNET, "addition_embed_type", json!("image")),
        ("taesd", "config.json", "num_encoder_blocks", json!([1, 2, 3, 3])),
        ("minilm", "config.json", "position_embedding_type", json!("relative_key")),
        ("clip", "preprocessor_config.json", "resample", json!(2)),
        ("clip", "config.json", "text_config", json!("x")),
    ] {
        let change = if key.is_empty() { "is missing".to_string() } else { format!("{key}: {value}") };
        writeln!(catalogue, "{name} {file} {change}\n  {}", refused(name, file, key, value)).unwrap();
    }
    insta::assert_snapshot!("refused", catalogue);
}

#[test]
fn schedulers_become_the_points_they_visit() {
    let mut table = String::new();
    for (class, changes) in [
        ("PNDMScheduler", json!({})),
        ("DDIMScheduler", json!({"set_alpha_to_one": true})),
        (
            "DDIMScheduler",
            json!({"timestep_spacing": "trailing", "rescale_betas_zero_snr": true, "prediction_type": "v_prediction"}),
        ),
        ("EulerDiscreteScheduler", json!({"timestep_spacing": "leading"})),
        ("EulerDiscreteScheduler", json!({})),
        ("EulerDiscreteScheduler", json!({"use_karras_sigmas": true})),
        ("EulerAncestralDiscreteScheduler", json!({})),
        ("HeunDiscreteScheduler", json!({})),
        ("DPMSolverMultistepScheduler", json!({})),
        ("DPMSolverMultistepScheduler", json!({"timestep_spacing": "leading", "final_sigmas_type": "sigma_min"})),
        ("DPMSolverMultistepScheduler", json!({"use_karras_sigmas": true, "solver_order": 1})),
        ("UniPCMultistepScheduler", json!({"beta_schedule": "squaredcos_cap_v2"})),
    ] {
        let mut files = files("sd15");
        let config = files["scheduler/scheduler_config.json"].as_object_mut().unwrap();
        config.insert("_class_name".into(), class.into());
        config.extend(changes.as_object().unwrap().clone());
        let text = adopted(&files, None).unwrap();
        let lines = text
            .lines()
            .filter(|line| ["predict", "schedule", "sampler"].iter().any(|key| line.trim_start().starts_with(key)));
        writeln!(table, "{class} {changes}\n{}", lines.collect::<Vec<_>>().join("\n")).unwrap();
    }
    insta::assert_snapshot!("schedulers", table);
}

#[test]
fn a_folder_of_tiny_autoencoders_has_one_or_is_asked_for_one() {
    let none = adopted(&Map::new(), Some("taesd")).unwrap_err();
    assert_eq!(none.code(), "adopt.files");
    let unknown = adopted(&Map::new(), Some("sdxl")).unwrap_err().to_string();
    assert!(unknown.contains("unknown family `sdxl`") && unknown.contains("taef2"), "{unknown}");
    let pairs =
        ["taesd", "taef1"].iter().flat_map(|name| ["encoder", "decoder"].map(|side| format!("{name}_{side}.pth")));
    let two: Map<String, Value> = pairs.map(|file| (file, json!("weights"))).collect();
    let wrong = adopted(&two, Some("taesd")).unwrap_err().to_string();
    assert!(wrong.contains("taesd_encoder.pth is not the encoder of a tiny autoencoder"), "{wrong}");
    let other = adopted(&two, Some("taef2")).unwrap_err().to_string();
    assert!(other.contains("write --like taesd or --like taef1"), "{other}");
}
