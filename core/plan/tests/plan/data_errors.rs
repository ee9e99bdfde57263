//! Everything that can be wrong with trainings and evaluations.

use crate::bench::Case;

fn train(from: &str, to: &str) -> Case {
    Case::of("train.yaml").edit(from, to)
}

fn judges(from: &str, to: &str) -> Case {
    Case::of("judges.yaml").edit(from, to)
}

fn eval(from: &str, to: &str) -> Case {
    Case::of("eval.yaml").edit(from, to)
}

#[test]
fn column_references() {
    train("{image: digits.image}", "{image: digit.image}").check("error-unknown-source");
    train("{image: digits.image}", "{image: picture}").check("error-not-a-column");
    train("{image: digits.image}", "{imgae: digits.image}").check("error-table-stream");
}

#[test]
fn tables() {
    train("    join: label\n", "").check("error-no-join");
    train("pictures: {", "pictures: {join: label, ").check("warning-join");
    train("data: pictures", "data: picture").check("error-unknown-table");
    train("data: pictures", "data: words").check("error-table-lacks-stream");
    train("text: speech.text, label: speech.label}", "text: speech.text}").check("error-table-lacks-streams");
    judges("{columns: {image: digits.image}, class: digits.label}", "{columns: {image: digits.image}}")
        .check("error-table-lacks-class");
}

#[test]
fn stages() {
    train("train: image", "train: imgae").check("error-train-stream");
    train("train: image", "train: joint").check("error-train-denoiser-by-reconstruct");
    train("train: image", "train: label").check("error-train-without-module");
    train("    train: image\n", "").check("error-no-train");
    train("    steps: 5000\n", "").check("error-no-steps");
    train("kind: statistics}", "kind: statistics}\n    train: joint").check("warning-statistics-train");
    train("kind: statistics}", "kind: statistics, streams: [imgae]}").check("error-statistics-stream");
    train("    batch: 256\n", "    batch: 256\n    micro_batch: 512\n").check("error-micro-batch");
    train("name: audio-autoencoder", "name: image-autoencoder").check("error-stage-twice");
    train("objective: {kind: reconstruct, loss: l1-l2}", "objective: {kind: reconstruct, loss: l1}")
        .check("error-loss");
    train("times: {kind: subset-shared, p_cond: 0.5}", "times: {kind: subset-shared, p_cond: 2}")
        .check("error-nested-kind");
    train("objective: {kind: statistics}", "objective: {}").check("error-objective-without-kind");
    train("  - name: statistics\n", "  - nothing\n  - name: statistics\n").check("error-stage-form");
}

#[test]
fn scorers() {
    judges("score: image/classifier", "score: image/classifer").check("error-unknown-scorer");
    judges("score: image/classifier", "score: audio/classifier").check("error-scorer-modality");
    judges("score: image/classifier", "score: image/autoencoder").check("error-scorer-role");
    judges("score: image/classifier", "score: {use: image/classifier, height: 32}").check("error-scorer-shape");
    judges("{stream: image, score: image/classifier}", "{stream: label, score: label/one-hot}")
        .check("error-scorer-codec");
    judges("{stream: image,", "{stream: picture,").check("error-scorer-stream");
    judges("train: image", "train: picture").check("error-train-scorer");
}

#[test]
fn modules_that_cannot_be_trained_or_called() {
    let train = || Case::of("train.yaml");
    train().called_by("image", "autoencoder", "anyflow.array/1").check("error-train-inference-only");
    train().called_by("image", "autoencoder", "anyflow.later/1").check("error-unknown-interface");
    let judges = || Case::of("judges.yaml");
    judges().called_by("image", "classifier", "anyflow.array/1").check("error-train-inference-only-scorer");
    // Who only computes may be called by either.
    let run = Case::of("image-to-audio.yaml").called_by("image", "autoencoder", "anyflow.array/1");
    assert_eq!(run.said(), "fine\n");
}

#[test]
fn unused_parts() {
    train("sources: {", "sources: {old: old.parquet, ").check("warning-unused-source");
    train("    data: words", "    data: tuples").check("warning-unused-table");
    judges("train: text", "train: image").edit("data: words", "data: pictures").check("warning-unused-scorer");
}

#[test]
fn judging() {
    eval("  label: {score: label/one-hot}\n", "").check("error-no-judge");
    eval("label: {score: label/one-hot}", "label: {score: image/gray}").check("error-judge-codec");
    eval("image: {score: image/classifier, weights: weights/judges.safetensors}", "image: {score: image/gray}")
        .check("error-judge-array");
    eval("label: {score: label/one-hot}", "label: {score: {use: label/one-hot, classes: 10}, weights: w}")
        .check("warning-judge-codec");
    eval("image: {score: image/classifier,", "image: {score: {use: image/classifier, classes: 12},")
        .check("error-classes");
    eval("image/classifier, weights: weights/judges.safetensors", "image/classifier").check("error-no-weights");
}

/// Folders and files are called after evaluations, stages and sources.
#[test]
fn names_of_files() {
    eval("name: digits-mld", "name: ../../escaped").check("error-name-leaves-its-folder");
    eval("name: digits-mld", "name: .hidden").check("error-name-is-hidden");
    train("name: image-autoencoder", "name: image/autoencoder").check("error-stage-name-has-a-slash");
}

#[test]
fn asking() {
    eval("observe: [image], generate: [audio]", "observe: [imge], generate: [audio]").check("error-task-stream");
    eval("observe: [image], generate: [audio]", "observe: [audio], generate: [audio]").check("error-task-twice");
    eval("observe: [image], generate: [audio]", "observe: [image], generate: []").check("error-task-nothing");
    eval("generate: [audio], min_coherence: 0.8", "generate: [audio], min_coherence: 80").check("error-at-least");
    eval("columns: {image: digits.image, ", "columns: {")
        .edit("sources: {digits: mnist_test.parquet, ", "sources: {")
        .check("error-task-column");
    eval("  class: speech.label\n", "").check("error-no-class");
    eval("observe: [image], generate: [text]", "observe: {image: {from: image, mask: label}}, generate: [text]")
        .check("error-mask-shape");
    eval("seeds: [1, 2, 3]", "seeds: [1, -2]").check("error-seeds");
}
