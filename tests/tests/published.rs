//! Models whose weights are in published files, part by part, through the programs.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::path::{Path, PathBuf};

use anyflow_datasets::{Dataset, Feature, OwnedCell};
use anyflow_runtime::checkpoint::{self, Metadata, Tensors, WeightType};
use anyflow_runtime::plugin::{LoadedPlugins, Module, ModuleOptions};
use anyflow_tests::{Output, anyflow, component, digit_png, write_columns};
use serde_json::json;
use tch::{Device, Kind, Tensor};

const SIDES: [&str; 2] = ["encoder", "decoder"];
const PARTS: &str = "
  streams.image.module.encoder: {from: encoder.safetensors, part: \"\"}
  streams.image.module.decoder: {from: decoder.safetensors, part: \"\"}";

/// A folder with a model, a pipeline that encodes and decodes, rows, and weights as a published model has them.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new() -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        project.write_model(PARTS);
        let pipeline = "anyflow: 1\nname: round-trip\nmodel: model.yaml\ninputs: {image: {modality: image}}\nnodes:\n  \
                        seen: {encode: vae/tiny, from: image}\n  back: {decode: vae/tiny, from: seen}\n\
                        outputs: {back: back, latent: seen}\n";
        std::fs::write(project.path("pipeline.yaml"), pipeline).unwrap();
        let images = (0..5).map(|n| Some(OwnedCell::Bytes(digit_png(n, 3)))).collect();
        write_columns(&project.path("rows"), vec![("image", Feature::Image, images)]);
        let weights = weights();
        for side in SIDES {
            let prefix = format!("{side}.");
            let own = weights
                .iter()
                .filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?.to_string(), tensor.shallow_clone())));
            project.save(&format!("{side}.safetensors"), &own.collect());
        }
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_model(&self, checkpoint: &str) {
        let model = format!(
            "anyflow: 1\nname: tiny\ncheckpoint: {checkpoint}\nstreams:\n  image:\n    codec: {{use: image/gray, height: 16, \
             width: 16, fit: stretch}}\n    module: {{use: vae/tiny, hidden: 4, mid_block_norm: true}}\n    latent: [2, 2, 2]\n"
        );
        std::fs::write(self.path("model.yaml"), model).unwrap();
    }

    fn save(&self, name: &str, tensors: &Tensors) {
        let path = self.path(name);
        let mut file = std::fs::File::create(&path).unwrap();
        checkpoint::write(&mut file, &path, tensors, Metadata::new(), WeightType::F32).unwrap();
    }

    fn run(&self, output: &str) -> Output {
        let [pipeline, rows, output] = ["pipeline.yaml", "rows", output].map(|name| self.path(name));
        anyflow([
            "run".as_ref(),
            pipeline.as_os_str(),
            "--input".as_ref(),
            rows.as_os_str(),
            "--output".as_ref(),
            output.as_os_str(),
        ])
    }
}

/// The weights of the module, by its own names. Their order of magnitude keeps all activations near one.
fn weights() -> Tensors {
    let parameters = json!({
        "channel": 1, "height": 16, "width": 16, "latent_channels": 2, "rows": 2, "columns": 2, "hidden": 4,
        "mid_block_norm": true
    });
    let module = component("vae/tiny", parameters);
    let module = Module::new(&mut LoadedPlugins::default(), &module, ModuleOptions::drawn(Device::Cpu, 11)).unwrap();
    module.parameters().unwrap().into_iter().map(|parameter| (parameter.name, parameter.tensor * 1.5)).collect()
}

fn cells(folder: &Path, column: &str) -> Vec<OwnedCell> {
    let dataset = Dataset::open(&[folder.to_path_buf()]).unwrap();
    let batch = dataset.read(None, 0..5, 16).unwrap().next().unwrap().unwrap();
    let cells = dataset.cells(&batch, column).unwrap();
    (0..5).map(|row| cells.get(row).unwrap().unwrap().into_owned()).collect()
}

#[test]
fn parts_of_a_model_load_like_one_checkpoint() {
    let project = Project::new();
    project.run("parts").ok();
    let mut whole: Tensors =
        weights().into_iter().map(|(name, tensor)| (format!("streams.image.module.{name}"), tensor)).collect();
    whole.insert("streams.image.mean".into(), Tensor::zeros([2, 2, 2], (Kind::Float, Device::Cpu)));
    whole.insert("streams.image.deviation".into(), Tensor::ones([2, 2, 2], (Kind::Float, Device::Cpu)));
    project.save("whole.safetensors", &whole);
    project.write_model("whole.safetensors");
    project.run("whole").ok();
    for column in ["back", "latent"] {
        assert_eq!(cells(&project.path("parts"), column), cells(&project.path("whole"), column), "{column}");
    }
    let [first, second] = [0, 1].map(|row| cells(&project.path("parts"), "latent").swap_remove(row));
    assert_ne!(first, second, "the latent must depend on the image");
}

/// The weights of a project as diffusers names them: without the clamp in front of the decoder.
fn in_diffusers(project: &Project) -> Tensors {
    let renamed = |side: &str, name: &str| {
        let (layer, rest) = name.split_once('.').unwrap();
        let layer = layer.parse::<usize>().unwrap() - usize::from(side == "decoder");
        format!("{side}.layers.{layer}.{rest}")
    };
    let of = |side: &str| checkpoint::read(&project.path(&format!("{side}.safetensors"))).unwrap().tensors;
    let named = |side: &'static str| of(side).into_iter().map(move |(name, tensor)| (renamed(side, &name), tensor));
    SIDES.into_iter().flat_map(named).collect()
}

#[test]
fn a_folder_with_split_files_and_other_names_loads_through_a_key_map() {
    let project = Project::new();
    project.run("parts").ok();
    project.write_model("{streams.image: {from: tiny, map: autoencoder-tiny}}\nlicense: mit");
    std::fs::create_dir(project.path("tiny")).unwrap();
    let (first, second): (Vec<_>, Vec<_>) =
        in_diffusers(&project).into_iter().enumerate().partition(|(index, _)| index % 2 == 0);
    let mut map = serde_json::Map::new();
    for (file, tensors) in [("one.safetensors", first), ("two.safetensors", second)] {
        let tensors: Tensors = tensors.into_iter().map(|(_, named)| named).collect();
        map.extend(tensors.keys().map(|name| (name.clone(), json!(file))));
        project.save(&format!("tiny/{file}"), &tensors);
    }
    let index = json!({"metadata": {}, "weight_map": map}).to_string();
    std::fs::write(project.path("tiny/diffusion_pytorch_model.safetensors.index.json"), index).unwrap();
    project.run("map").ok();
    assert_eq!(cells(&project.path("parts"), "back"), cells(&project.path("map"), "back"));
    for file in ["manifest.json", "run.json"] {
        let text = std::fs::read_to_string(project.path("map").join(file)).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["license"], "mit", "{file}");
    }
    project.write_model("{streams.image: {from: tiny, map: unet-2d}}");
    let refused = project.run("other");
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("does not belong to this model"), "{}", refused.err);
    assert!(refused.err.contains("did you mean, in the file: decoder.layers."), "{}", refused.err);
}

#[test]
fn changed_weights_of_a_part_are_refused_by_name() {
    let project = Project::new();
    project.run("out").ok();
    let weights = weights()
        .into_iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("decoder.")?.to_string(), tensor * 0.5)));
    project.save("decoder.safetensors", &weights.collect());
    std::fs::remove_file(project.path("out/manifest.json")).unwrap();
    let refused = project.run("out");
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("streams.image.module.decoder"), "{}", refused.err);
}

#[test]
fn weights_that_do_not_cover_the_model_are_named() {
    let project = Project::new();
    let encoder = PARTS.lines().nth(1).unwrap();
    project.write_model(&format!("\n{encoder}"));
    let refused = project.run("out");
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(
        refused.err.contains("no file for") && refused.err.contains("streams.image.module.decoder.1.bias"),
        "{}",
        refused.err
    );

    project.write_model(&PARTS.replace("decoder.safetensors", "encoder.safetensors"));
    let refused = project.run("out");
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(
        refused.err.contains("does not belong to this model") && refused.err.contains("unused: 0.bias"),
        "{}",
        refused.err
    );
}

#[test]
fn files_in_the_place_of_weights_are_named() {
    let project = Project::new();
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/weights"));
    for (file, words) in [
        ("pointer.txt", "git lfs pull"),
        ("page.html", "web page"),
        ("code.pth", "not a PyTorch file of plain tensors"),
        ("other-sizes.pth", "not a PyTorch file of plain tensors"),
        ("good.pth", "does not belong to this model"),
    ] {
        std::fs::copy(corpus.join(file), project.path("decoder.safetensors")).unwrap();
        let refused = project.run("out");
        assert_eq!(refused.code, 2, "{file}: {}", refused.err);
        assert!(refused.err.contains(words) && refused.err.contains("decoder.safetensors"), "{file}: {}", refused.err);
    }
}
