//! Texts -> tokens -> vectors with published files: the vocabulary is a file that the engine reads, and a part of the job.

#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use anyflow_datasets::{Feature, OwnedCell};
use anyflow_runtime::checkpoint::{self, Metadata, Tensors, WeightType};
use anyflow_runtime::plugin::{LoadedPlugins, Module};
use anyflow_tests::{Output, Workspace, anyflow, component};
use serde_json::json;
use tch::Device;

const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\ncat\ndog\n##s\nand\n";
const MODEL: &str = "anyflow: 1\nname: small\ncheckpoint: {prompts.words: {from: bert.safetensors, map: bert}}\nprompts:\n  \
                     words:\n    codec: {use: tokens/wordpiece, files: words, length: 6}\n    module: {use: bert/text, hidden_size: 8, \
                     num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16, vocab_size: 9, max_position_embeddings: 8, \
                     normalize: true}\n    tokens: [6, 8]\n    vector: [8]\n";
const PIPELINE: &str = "anyflow: 1\nname: embeddings\nmodel: model.yaml\ninputs: {text: {modality: text}}\nnodes:\n  \
                        meaning: {embed: words, from: text}\noutputs: {embedding: meaning.pooled, states: meaning}\n";
const TEXTS: [&str; 5] = ["a cat", " A  CAT", "a dog", "", "cats and dogs and cats"];

fn workspace() -> Workspace {
    let workspace = Workspace::new().model(MODEL);
    workspace.write("embeddings.yaml", PIPELINE);
    std::fs::create_dir(workspace.path("words")).unwrap();
    workspace.write("words/vocab.txt", VOCABULARY);
    let cells = TEXTS.iter().map(|text| Some(OwnedCell::Utf8((*text).into()))).collect();
    workspace.column("texts", "text", Feature::Value("string".into()), cells);
    let sizes = json!({
        "length": 6, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "vocab_size": 9, "max_position_embeddings": 8, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12, "pooling": "mean", "normalize": true
    });
    let module = Module::new(&mut LoadedPlugins::default(), &component("bert/text", sizes), Device::Cpu, 5).unwrap();
    let weights = module.parameters().unwrap().into_iter();
    let weights: Tensors = weights.map(|it| (it.name.clone(), tch::no_grad(|| it.tensor * 20.0))).collect();
    let path = workspace.path("bert.safetensors");
    let mut file = std::fs::File::create(&path).unwrap();
    checkpoint::write(&mut file, &path, &weights, Metadata::new(), WeightType::F32).unwrap();
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
