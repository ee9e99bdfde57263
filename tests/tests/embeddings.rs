//! Texts -> tokens -> vectors with published files: the vocabulary is a file that the engine reads, and a part of the job.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use anyflow_datasets::{Feature, OwnedCell};
use anyflow_runtime::checkpoint::{self, Metadata, Tensors, WeightType};
use anyflow_runtime::plugin::{LoadedPlugins, Module, ModuleOptions};
use anyflow_tests::{Output, Workspace, anyflow, component};
use serde_json::{Value, json};
use tch::Device;

const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\ncat\ndog\n##s\nand\n";
const MODEL: &str = "anyflow: 1\nname: small\ncheckpoint: {prompts.words: {from: bert.safetensors, map: bert}}\nprompts:\n  \
                     words:\n    codec: {use: tokens/wordpiece, files: words, length: 6}\n    module: {use: bert/text, hidden_size: 8, \
                     num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, vocab_size: 9, max_position_embeddings: 8, \
                     normalize: true}\n    tokens: [6, 8]\n    vector: [8]\n";
const PIPELINE: &str = "anyflow: 1\nname: embeddings\nmodel: model.yaml\ninputs: {text: {modality: text}}\nnodes:\n  \
                        meaning: {embed: words, from: text}\noutputs: {embedding: meaning.pooled, states: meaning}\n";
const TEXTS: [&str; 5] = ["a cat", " A  CAT", "a dog", "", "cats and dogs and cats"];

/// The weights of a module by its own names.
fn made(module: &str, parameters: Value) -> Tensors {
    let options = ModuleOptions::drawn(Device::Cpu, 5);
    let module = Module::new(&mut LoadedPlugins::default(), &component(module, parameters), options).unwrap();
    module.parameters().unwrap().into_iter().map(|it| (it.name, it.tensor.detach())).collect()
}

fn save(workspace: &Workspace, name: &str, weights: Tensors) {
    let path = workspace.path(name);
    let mut file = std::fs::File::create(&path).unwrap();
    checkpoint::write(&mut file, &path, &weights, Metadata::new(), WeightType::F32).unwrap();
}

fn workspace() -> Workspace {
    let workspace = Workspace::new().model(MODEL);
    workspace.write("embeddings.yaml", PIPELINE);
    std::fs::create_dir(workspace.path("words")).unwrap();
    workspace.write("words/vocab.txt", VOCABULARY);
    let cells = TEXTS.iter().map(|text| Some(OwnedCell::Utf8((*text).into()))).collect();
    workspace.column("texts", "text", Feature::Value("string".into()), cells);
    let weights = made(
        "bert/text",
        json!({
            "length": 6, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "vocab_size": 9, "max_position_embeddings": 8, "type_vocab_size": 2,
            "layer_norm_eps": 1e-12, "pooling": "mean", "normalize": true
        }),
    );
    save(&workspace, "bert.safetensors", weights.into_iter().map(|(name, tensor)| (name, tensor * 20.0)).collect());
    workspace
}

/// Runs into `out`, with messages on standard error.
fn run(workspace: &Workspace) -> Output {
    let [file, input, output] = ["embeddings.yaml", "texts", "out"].map(|name| workspace.path(name).into_os_string());
    anyflow(["run".into(), file, "--input".into(), input, "--output".into(), output])
}

/// The numbers of each row of a column.
fn numbers(workspace: &Workspace, column: &str) -> Vec<Vec<f64>> {
    let values = |cell: OwnedCell| match cell {
        OwnedCell::List(list) => list.as_list().values().to_vec(),
        other => panic!("{other:?} is no list"),
    };
    workspace.cells("out", column).into_iter().map(values).collect()
}

#[test]
fn texts_become_vectors_of_length_one() {
    let workspace = workspace();
    let told = run(&workspace).ok();
    assert_eq!(told.err.matches("tokens/wordpiece: 1 of 5 texts were cut to 6 tokens").count(), 1, "{}", told.err);
    let vectors = numbers(&workspace, "embedding");
    assert!(numbers(&workspace, "states").iter().all(|states| states.len() == 6 * 8));
    for vector in &vectors {
        let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!(vector.len() == 8 && (length - 1.0).abs() < 1e-5, "{vector:?}");
    }
    assert_eq!(vectors[0], vectors[1], "case and spaces do not matter");
    let cosine = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
    assert!(cosine(&vectors[0], &vectors[2]) < 0.999, "another word is another vector");
}

#[test]
fn another_vocabulary_is_another_job_and_another_place_is_not() {
    let workspace = workspace();
    run(&workspace).ok();
    let unfinish = || std::fs::remove_file(workspace.path("out/manifest.json")).unwrap();
    unfinish();
    std::fs::rename(workspace.path("words"), workspace.path("moved")).unwrap();
    workspace.rewrite("model.yaml", |yaml| yaml.replace("files: words", "files: moved/vocab.txt"));
    run(&workspace).ok();
    unfinish();
    workspace.write("moved/vocab.txt", &VOCABULARY.replace("dog", "cow"));
    let refused = run(&workspace);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(refused.err.contains("tokens/wordpiece files"), "{}", refused.err);
}

#[test]
fn files_that_are_missing_or_of_another_model_are_named() {
    let workspace = workspace();
    workspace.rewrite("model.yaml", |yaml| yaml.replace("files: words", "files: wrods"));
    let refused = run(&workspace);
    assert!(refused.code != 0 && refused.err.contains("wrods"), "{}", refused.err);
    workspace.rewrite("model.yaml", |yaml| yaml.replace("files: wrods", "files: words"));
    workspace.write("words/vocab.txt", &format!("{}the\n", VOCABULARY.replace("a\ncat\n", "of\nin\n") + "a\ncat\n"));
    let refused = run(&workspace);
    let words = ["token ids", "vocab_size"];
    assert!(refused.code != 0 && words.iter().all(|words| refused.err.contains(words)), "{}", refused.err);
}

const BETWEEN: &str = "anyflow: 1\nname: between\ncheckpoint: CHECKPOINT\nstreams:\n  image:\n    codec: {use: image/gray, \
                       height: 16, width: 16, fit: stretch}\n    module: {use: vae/tiny, hidden: 4}\n    latent: [4, 2, 2]\n\
                       prompts:\n  words:\n    codec: {use: tokens/wordpiece, files: words, length: 4}\n    module: {use: \
                       bert/text, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, \
                       vocab_size: 14, max_position_embeddings: 8}\n    tokens: [4, 8]\ndenoisers:\n  made:\n    over: \
                       [image]\n    prompts: [words]\n    network: {kind: unet, block_out_channels: [8], layers_per_block: 1, \
                       norm_num_groups: 4, num_attention_heads: 2}\n";
const TRAINING: &str = "anyflow: 1\nname: between\nmodel: model.yaml\nseed: 1\nsources: {digits: train}\ntake:\n  \
                        streams.image.module: {from: vae.safetensors, part: \"\"}\n  prompts.words: {from: bert.safetensors, map: \
                        bert}\ndata: {rows: {columns: {image: digits.image, words: digits.text}}}\nstages:\n  - {name: \
                        statistics, objective: {kind: statistics}, data: rows}\n  - {name: diffusion, train: made, objective: \
                        {kind: denoise}, data: rows, steps: 200, batch: 32, optimizer: {kind: adamw, lr: 3.0e-3}}\n";
const SAMPLE: &str = "anyflow: 1\nname: sample\nmodel: model.yaml\ninputs: {text: {modality: text}}\nnodes:\n  told: {embed: \
                      words, from: text}\n  drawn: {diffuse: [image], condition: {told: 1.0}, seed: 1}\n  picture: {decode: \
                      image, from: drawn.image}\noutputs: {image: picture}\n";

/// A denoiser learns between an autoencoder and a text encoder of others, which stay as they were published.
#[test]
fn a_denoiser_is_trained_between_published_parts() {
    let workspace = Workspace::new().digits(64).model(BETWEEN).training(TRAINING);
    std::fs::create_dir(workspace.path("words")).unwrap();
    let words = "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";
    workspace.write("words/vocab.txt", &format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n{words}"));
    let vae = made(
        "vae/tiny",
        json!({
            "channel": 1, "height": 16, "width": 16, "latent_channels": 4, "rows": 2, "columns": 2, "hidden": 4,
            "mid_block_norm": false
        }),
    );
    let bert = made(
        "bert/text",
        json!({
            "length": 4, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
            "vocab_size": 14, "max_position_embeddings": 8, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
            "pooling": "mean", "normalize": false
        }),
    );
    save(&workspace, "vae.safetensors", vae.iter().map(|(name, tensor)| (name.clone(), tensor * 1.5)).collect());
    save(&workspace, "bert.safetensors", bert.iter().map(|(name, tensor)| (name.clone(), tensor * 20.0)).collect());
    let trained = workspace.train("out").ok().json();
    let loss = trained["stages"][1]["result"]["loss"].as_f64().unwrap();
    assert!(loss < 0.9, "{loss}; the mean of all latents has a loss of 1");
    let weights = workspace.weights("out");
    for (file, part) in [("vae.safetensors", "streams.image.module"), ("bert.safetensors", "prompts.words.module")] {
        for (name, tensor) in workspace.tensors(file) {
            let kept = &weights[&format!("{part}.{name}")];
            assert_eq!(*kept, tensor.to_kind(kept.kind()), "{part}.{name}");
        }
    }
    workspace.write("sample.yaml", SAMPLE);
    let rows = workspace.path("train").display().to_string();
    workspace.call("run", "sample.yaml", "sampled", &["--input", &rows, "--rows", "8"]).ok();
    assert_eq!(workspace.cells("sampled", "image").len(), 8);
}
