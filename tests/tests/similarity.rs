//! Published encoders of two modalities with vectors in one space: fit of a caption, zero-shot classes, columns of vectors.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use anyflow_datasets::{CellKind, Dataset, Feature, OwnedCell};
use anyflow_runtime::checkpoint::{self, Metadata, Tensors, WeightType};
use anyflow_runtime::plugin::{LoadedPlugins, Module, ModuleOptions};
use anyflow_tests::{Workspace, component, digit_png, write_columns};
use serde_json::{Value, json};
use tch::{Device, Tensor};

const MODEL: &str = "anyflow: 1
name: small
checkpoint:
  prompts.picture: {from: clip.safetensors, map: clip-image}
  prompts.words: {from: clip.safetensors, map: clip-text}
  scorers.fit: {from: clip.safetensors, map: clip-scale}
prompts:
  picture:
    codec: {use: image/rgb, height: 8, width: 8, fit: crop}
    module: {use: clip/image, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, patch_size: 4, intermediate_size: 16, projection_dim: 6}
    tokens: [5, 8]
    vector: [6]
  words:
    codec: {use: tokens/clip, files: words, length: 6, pad: 6}
    module: {use: clip/text, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, vocab_size: 9,
             max_position_embeddings: 8, eos_token_id: 6, projection_dim: 6}
    vector: [6]
scorers:
  fit: {between: [picture, words]}
  raw: {between: [words, words], scale: 2.0}
";
const VOCABULARY: &str = r#"{"a": 0, "b": 1, "a</w>": 2, "b</w>": 3, "ab</w>": 4, "<|startoftext|>": 5, "<|endoftext|>": 6, "c": 7, "c</w>": 8}"#;
const CAPTIONS: [&str; 3] = ["a", "b", "c"];
/// The factor of the scorer.
const SCALE: f64 = 20.0;

fn sizes(more: Value) -> Value {
    let mut sizes = json!({
        "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "projection_dim": 6,
        "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "vector": 6
    });
    sizes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    sizes
}

/// The weights of both towers as `CLIPModel` has them in one file.
fn weights() -> Tensors {
    let image = sizes(json!({
        "channel": 3, "height": 8, "width": 8, "tokens": 5, "patch_size": 4, "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5]
    }));
    let text = sizes(json!({
        "length": 6, "vocab_size": 9, "max_position_embeddings": 8, "eos_token_id": 6, "hidden_state": -1, "final_norm": false
    }));
    let mut weights = Tensors::new();
    let mut plugins = LoadedPlugins::default();
    for (name, parameters) in [("clip/image", image), ("clip/text", text)] {
        let module =
            Module::new(&mut plugins, &component(name, parameters), ModuleOptions::drawn(Device::Cpu, 5)).unwrap();
        // Norms keep their scale, or attention would see one token alone.
        let scaled = |tensor: Tensor| if tensor.dim() > 1 { tensor * 20.0 } else { tensor * 1.0 };
        let own = module.parameters().unwrap().into_iter();
        weights.extend(own.map(|it| (it.name, tch::no_grad(|| scaled(it.tensor)))));
    }
    weights.insert("logit_scale".into(), Tensor::from(SCALE.ln() as f32));
    weights
}

fn workspace() -> Workspace {
    let workspace = Workspace::new().model(MODEL);
    std::fs::create_dir(workspace.path("words")).unwrap();
    workspace.write("words/vocab.json", VOCABULARY);
    workspace.write("words/merges.txt", "a b</w>\n");
    let path = workspace.path("clip.safetensors");
    let mut file = std::fs::File::create(&path).unwrap();
    checkpoint::write(&mut file, &path, &weights(), Metadata::new(), WeightType::F32).unwrap();
    let images = (0..3).map(|digit| Some(OwnedCell::Bytes(digit_png(digit, 3)))).collect();
    let captions = CAPTIONS.iter().map(|caption| Some(OwnedCell::Utf8((*caption).into()))).collect();
    let columns = vec![("image", Feature::Image, images), ("caption", Feature::Value("string".into()), captions)];
    write_columns(&workspace.path("rows"), columns);
    workspace
}

fn run(workspace: &Workspace, name: &str, lines: &str) {
    let rows = workspace.path("rows").display().to_string();
    workspace.run(
        name,
        &format!("inputs: {{image: {{modality: image}}, caption: {{modality: text}}}}\n{lines}"),
        &["--input", &rows],
    );
}

/// The numbers of each row of a column.
fn numbers(workspace: &Workspace, output: &str, column: &str) -> Vec<Vec<f64>> {
    let values = |cell: OwnedCell| match cell {
        OwnedCell::List(list) => list.as_list().values().to_vec(),
        OwnedCell::F64(number) => vec![number],
        other => panic!("{other:?} is no number"),
    };
    workspace.cells(output, column).into_iter().map(values).collect()
}

fn cosine(one: &[f64], other: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(one, other) / (dot(one, one) * dot(other, other)).sqrt()
}

fn assert_near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() < 1e-3, "f32: {found} is not {wanted}");
}

#[test]
fn a_score_is_the_cosine_of_two_vectors_times_the_learned_factor() {
    let workspace = workspace();
    let nodes = "nodes:\n  seen: {embed: picture, from: image}\n  told: {embed: words, from: caption}\n  close: {score: fit, from: image, \
                 against: caption}\n  same: {score: raw, from: caption, against: caption}\n";
    run(
        &workspace,
        "fit",
        &format!("{nodes}outputs: {{seen: seen.pooled, told: told.pooled, fit: close.score, same: same.score}}\n"),
    );
    let [seen, told, fit, same] = ["seen", "told", "fit", "same"].map(|column| numbers(&workspace, "fit", column));
    for row in 0..CAPTIONS.len() {
        assert_near(fit[row][0], SCALE * cosine(&seen[row], &told[row]));
        assert_near(same[row][0], 2.0);
    }
    assert!(fit[0] != fit[1], "rows differ");
    let dataset = Dataset::open(&[workspace.path("fit")]).unwrap();
    let vector = &dataset.features()["seen"];
    assert_eq!(
        (vector, vector.cell()),
        (&Feature::declared("List(Value(float32), 6)").unwrap(), Some(CellKind::List(1)))
    );
}

#[test]
fn a_class_is_the_one_whose_texts_have_the_nearest_vector() {
    let workspace = workspace();
    let nodes = "nodes:\n  class: {score: fit, from: image, classes: [a, b, c]}\n  first: {score: fit, from: image, classes: [a, b], \
                 templates: [\"{}\", \"c {}\"]}\n  close: {score: fit, from: image, against: caption}\n";
    let outputs = "{label: class.label, scores: class.scores, mixed: first.scores, fit: close.score}";
    run(&workspace, "classes", &format!("{nodes}outputs: {outputs}\n"));
    let [scores, mixed, fit] = ["scores", "mixed", "fit"].map(|column| numbers(&workspace, "classes", column));
    for (row, label) in workspace.cells("classes", "label").into_iter().enumerate() {
        let best = (0..3).max_by(|a, b| scores[row][*a].total_cmp(&scores[row][*b])).unwrap();
        assert_eq!(label, OwnedCell::Utf8(CAPTIONS[best].into()));
        assert_near(fit[row][0], scores[row][row]);
        assert_eq!(mixed[row].len(), 2);
        assert!((mixed[row][0] - scores[row][0]).abs() > 1e-3, "a template changes the vector of a class");
    }
}
