//! Compiling and printing plans: `cargo bench -p anyflow-plan`.
#![allow(clippy::unwrap_used)] // a benchmark that cannot run stops

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;

use anyflow_plan::plan::Job;
use anyflow_plan::{Catalog, Format, Source, compile_eval, compile_run, compile_train, explain};
use criterion::Criterion;

fn main() {
    let timing = Criterion::default().sample_size(10);
    let timing = timing.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    let mut criterion = timing.configure_from_args();
    let model = file("model.yaml");
    let catalog = catalog();
    let [joint, train, eval] = ["joint.yaml", "train.yaml", "eval.yaml"].map(file);
    let mut group = criterion.benchmark_group("compile");
    group.bench_function("run", |bencher| {
        bencher.iter(|| compile_run(black_box(&joint), &model, &catalog, &[]).unwrap());
    });
    group.bench_function("train", |bencher| {
        bencher.iter(|| compile_train(black_box(&train), &model, &catalog, &[], Some("data")).unwrap());
    });
    let thousand = thousand_nodes();
    group.bench_function("run of 1,000 nodes", |bencher| {
        bencher.iter(|| compile_run(black_box(&thousand), &model, &catalog, &[]).unwrap());
    });
    group.bench_function("eval", |bencher| {
        bencher.iter(|| compile_eval(black_box(&eval), &[&model], &catalog, &[], Some("data")).unwrap());
    });
    group.finish();
    let (plan, _) = compile_run(&joint, &model, &catalog, &[]).unwrap();
    let job = Job::Run(plan);
    let format = Format::Text(&catalog);
    criterion.bench_function("explain as text", |bencher| bencher.iter(|| explain(black_box(&job), format)));
    criterion.final_summary();
}

/// A pipeline of 250 times four nodes, all of which an output needs.
fn thousand_nodes() -> Source {
    let nodes = (0..250).map(|index| {
        format!(
            "  seen{index}: {{encode: image/autoencoder, from: picture}}\n\
             \x20 joint{index}: {{diffuse: [audio], observe: {{image: seen{index}}}}}\n\
             \x20 sound{index}: {{decode: audio/autoencoder, from: joint{index}.audio}}\n\
             \x20 heard{index}: {{encode: audio/autoencoder, from: sound{index}}}\n"
        )
    });
    let nodes: String = nodes.collect();
    let outputs: String = (0..250).map(|index| format!("  audio{index}: heard{index}\n")).collect();
    let head = "anyflow: 1\nname: thousand\nmodel: model.yaml\ninputs: {picture: {modality: image}}\n";
    Source::new("thousand.yaml", format!("{head}nodes:\n{nodes}outputs:\n{outputs}"))
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn file(name: &str) -> Source {
    Source::new(name, std::fs::read_to_string(folder().join("files").join(name)).unwrap())
}

/// The plugins of the tests' fixtures.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for name in ["image", "audio", "text", "label"] {
        let path = folder().join(format!("descriptors/{name}.json"));
        let descriptor = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        catalog.plugins.insert(name.into(), (descriptor, format!("lib{name}.so")));
    }
    catalog
}
